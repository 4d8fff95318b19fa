/** The command line: one file per verb. */
import { Command, CommanderError } from "commander";
import { VERSION } from "../control/version.js";
import * as build from "./build.js";
import * as check from "./check.js";
import * as demo from "./demo.js";
import * as deploy from "./deploy.js";
import * as dev from "./dev.js";
import * as doctor from "./doctor.js";
import * as exec from "./exec.js";
import * as init from "./init.js";
import * as logs from "./logs.js";
import * as ls from "./ls.js";
import * as rm from "./rm.js";
import * as runVerb from "./run.js";
import { CliError, ExitCode, exit, report } from "./shared/output.js";
import * as stats from "./stats.js";
import * as test from "./test.js";
import * as up from "./up.js";

/** In the order in which a newcomer meets them; --help keeps it. */
const VERBS = [demo, init, dev, test, build, check, runVerb, up, deploy, ls, rm, logs, stats, exec, doctor];

const EXAMPLES = `
Examples:
  weir demo                        a playground with four example apps
  weir init hello && cd hello      a new app
  weir dev                         run it in a playground, again after every edit
  weir test                        its tests, on a simulated host
  weir deploy . --tenant acme      deploy it to the running host
  weir stats --json                every counter, for programs
  weir exec -- ping -c 3 10.44.0.2 run a command in the host's network

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused, 5 no host, 6 time-out.`;

function createProgram(): Command {
  const program = new Command("weir")
    .description("Hosts WebAssembly handlers on its own TCP/IP stack.")
    .version(VERSION, "-V, --version", "print the version")
    .option("--json", "print results and errors as JSON")
    .option("--socket <path>", "API socket of the host (default: WEIR_SOCKET, else `weir up`, else the playground)")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [verb]", "print help for a verb")
    .addHelpText("after", EXAMPLES)
    .showSuggestionAfterError()
    .exitOverride();
  for (const verb of VERBS) verb.register(program);
  // Each verb ends like the program: by an exception, so that output is flushed and exit codes are ours.
  for (const command of program.commands) command.exitOverride();
  return program;
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // `weir logs | head`: the reader has seen enough.
  if (error.code === "EPIPE") process.exit(ExitCode.ok);
  throw error;
});

// What stands behind "--" belongs to the command that `weir exec` runs.
const own = process.argv.includes("--") ? process.argv.slice(0, process.argv.indexOf("--")) : process.argv;
const json = own.includes("--json");
try {
  await createProgram().parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) {
    // commander has printed help, version or, on stderr, what is wrong.
    if (error.exitCode === 0) await exit(ExitCode.ok);
    if (json) report(new CliError(error.message, ExitCode.usage), json);
    await exit(ExitCode.usage);
  }
  await exit(report(error, json));
}
