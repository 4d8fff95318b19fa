/**
 * How a command line finds a running playground: a small file per playground in the user's run folder. The playground's
 * own sockets live in a mount namespace that vanishes with it, so a pointer that was left behind by a kill -9 points to
 * nothing; whoever reads it removes it.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A running playground, as seen from outside. */
export interface Playground {
  /** A process in the playground's network and mount namespaces. */
  readonly pid: number;
  /** Start time of that process in clock ticks since boot: a reused process number has another one. */
  readonly startTicks: string;
  /** The API socket as reached from outside its mount namespace. */
  readonly socket: string;
  /** Whether it runs in a user namespace, because it was not started by root. */
  readonly userNamespace: boolean;
  /** The verb that runs it. */
  readonly verb: string;
  /** When it was started, milliseconds since 1970. */
  readonly startedMs: number;
}

/** The user's folder for pointers. Refuses a folder that belongs to somebody else. */
export function pointerFolder(): string {
  const runtimeFolder = process.env.XDG_RUNTIME_DIR;
  const uid = process.getuid?.() ?? 0;
  const folder = runtimeFolder ? join(runtimeFolder, "weir") : join(tmpdir(), `weir-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = statSync(folder);
  if (stat.uid !== uid || (stat.mode & 0o022) !== 0) {
    throw new Error(`${folder} must belong to user ${uid} and be writable by nobody else. Remove it or fix its mode.`);
  }
  return folder;
}

/** Start time of a process in clock ticks since boot (proc(5), stat, field 22); undefined when there is no such process. */
export function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Writes the pointer and returns its path. */
export function writePointer(playground: Playground): string {
  const path = join(pointerFolder(), `${playground.pid}.json`);
  writeFileSync(path, JSON.stringify(playground), { mode: 0o600 });
  return path;
}

/** Removes a pointer; one that is gone already is fine. */
export function removePointer(path: string): void {
  rmSync(path, { force: true });
}

function isPlayground(value: unknown): value is Playground {
  const candidate = value as Playground | null;
  return (
    typeof candidate === "object" &&
    candidate !== null &&
    Number.isInteger(candidate.pid) &&
    typeof candidate.startTicks === "string" &&
    typeof candidate.socket === "string" &&
    typeof candidate.startedMs === "number"
  );
}

/** The playgrounds that run now, newest first. Pointers to playgrounds that are gone are removed. */
export function findPlaygrounds(): Playground[] {
  const folder = pointerFolder();
  const found: Playground[] = [];
  for (const name of readdirSync(folder)) {
    if (!/^\d+\.json$/.test(name)) continue;
    const path = join(folder, name);
    let value: unknown;
    try {
      value = JSON.parse(readFileSync(path, "utf8"));
    } catch {
      value = undefined;
    }
    if (isPlayground(value) && startTicksOf(value.pid) === value.startTicks) found.push(value);
    else removePointer(path);
  }
  return found.sort((a, b) => b.startedMs - a.startedMs);
}
