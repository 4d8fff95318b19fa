/** `weir demo` and `weir dev` for tests, and what must not be left of them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { expect } from "vitest";
import { requireBuild } from "./clone.js";
import {
  allProcesses,
  networkNamespaceOf,
  type ProcessEntry,
  processTree,
  type Running,
  stillRunning,
  testEnvironment,
  until,
} from "./processes.js";
import { start, temporaryFolder } from "./scope.js";

const READY_TIMEOUT_MS = 120_000;
const GONE_TIMEOUT_MS = 15_000;

/** A playground that a test started, with a pointer folder of its own. */
export interface TestPlayground {
  readonly running: Running;
  /** For further command lines: they find this playground and no other. */
  readonly env: NodeJS.ProcessEnv;
  /** First address that was relayed, like http://127.0.0.1:40000. */
  readonly url: string;
  readonly footprint: Footprint;
}

/** What a playground occupies. */
export interface Footprint {
  readonly processes: readonly ProcessEntry[];
  readonly networkNamespace: string;
  readonly pointerFolder: string;
  readonly port: number;
}

/** Starts a command line that opens a playground and waits until it relays HTTP. */
export async function startPlayground(
  command: readonly string[],
  options: { readonly cwd?: string; readonly detached?: boolean } = {},
): Promise<TestPlayground> {
  requireBuild();
  const runtimeFolder = temporaryFolder();
  const env = { ...testEnvironment(), XDG_RUNTIME_DIR: runtimeFolder };
  const running = start(command, { env, ...options });
  const [, url = ""] = await running.output(/(http:\/\/127\.0\.0\.1:\d+)\//, READY_TIMEOUT_MS);
  return {
    running,
    env,
    url,
    footprint: footprintOf(running.pid, join(runtimeFolder, "weir"), Number(new URL(url).port)),
  };
}

function footprintOf(pid: number, pointerFolder: string, port: number): Footprint {
  const processes = processTree(pid);
  const own = networkNamespaceOf(process.pid);
  const others = processes
    .map((entry) => networkNamespaceOf(entry.pid))
    .filter((each) => each !== undefined && each !== own);
  const [networkNamespace] = others;
  if (networkNamespace === undefined) throw new Error("the playground has no network namespace of its own");
  return { processes, networkNamespace, pointerFolder, port };
}

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** Waits until nothing is left of a playground: processes, namespace (and with it TAP and sockets), relay, mounts. */
export async function expectNothingLeft(footprint: Footprint): Promise<void> {
  const { processes, networkNamespace, port } = footprint;
  const left = () => stillRunning(processes).map((entry) => `${entry.pid} ${entry.command}`);
  const holders = () => allProcesses().filter((entry) => networkNamespaceOf(entry.pid) === networkNamespace);
  await until("the end of all processes", () => left().length === 0 && holders().length === 0, GONE_TIMEOUT_MS).catch(
    () => {},
  );
  expect(left()).toEqual([]);
  expect(holders()).toEqual([]);
  expect(await connects(port)).toBe(false);
  expect(existsSync("/sys/class/net/weir0")).toBe(false);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toMatch(/ - tmpfs weir /);
  expect(readFileSync("/proc/net/unix", "utf8")).not.toContain("/dev/shm/weir/");
}

/** The pointers that are left; a killed playground leaves one, which the next reader removes. */
export function pointersIn(footprint: Footprint): string[] {
  return existsSync(footprint.pointerFolder) ? readdirSync(footprint.pointerFolder) : [];
}
