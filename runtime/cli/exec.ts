/** `weir exec`: a command in the network of the host's port. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import type { Command } from "commander";
import { enterNetwork } from "../playground/namespace.js";
import { hosting } from "./hosting.js";
import { connectHost, findHost } from "./shared/endpoint.js";
import { CliError, ExitCode, exit, globalOptions } from "./shared/output.js";

/** The shells' convention for a program that a signal ended. */
const SIGNAL_EXIT_BASE = 128;

/** The command line that runs `command` where the host's port is. */
async function entering(command: readonly string[], socket: string | undefined): Promise<string[]> {
  const { playground } = await findHost({ socket });
  if (playground !== undefined) return enterNetwork(playground.pid, command, playground.userNamespace);
  const { dataplane } = await (await connectHost({ socket })).info();
  if (dataplane.pid === 0) {
    throw new CliError("The host's dataplane is being started again.", ExitCode.unavailable, "Try again in a moment.");
  }
  return enterNetwork(dataplane.pid, command, false);
}

/** Runs a command line with this terminal and returns its exit code. Signals reach it. */
async function runHere(commandLine: readonly string[]): Promise<number> {
  const [program = "", ...rest] = commandLine;
  const child = spawn(program, rest, { stdio: "inherit" });
  // A Ctrl-C at the terminal reaches the child by itself; this process only waits.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  return await new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new CliError(`${program}: ${error.message}`, ExitCode.failed)));
    child.once("close", (code, signal) => {
      resolve(code ?? SIGNAL_EXIT_BASE + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

/** Adds the verb. */
export function register(program: Command): void {
  program
    .command("exec")
    .description("run a command in the network of the host's port; ends with the command's exit code")
    .argument("<command...>", "the command, after --")
    .addHelpText(
      "after",
      `
Examples:
  weir exec -- ping -c 3 10.44.0.2
  weir exec -- curl -s http://10.44.0.2/
  weir exec -- tcpdump -n -i weir0`,
    )
    .action(
      hosting(async (words: string[], _options: object, command: Command) => {
        await exit(await runHere(await entering(words, globalOptions(command).socket)));
      }),
    );
}
