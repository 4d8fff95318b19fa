/** Who used how much of the processors and of memory, as the kernel counts it. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const PAGE_BYTES = Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" }));
const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** Seconds of one processor since the machine's start: busy, in interrupts (a part of it), stolen by the hypervisor. */
export function processorSeconds(core) {
  const line = readFileSync("/proc/stat", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`cpu${core} `));
  const [user, nice, system, , , irq, softirq, steal] = line.split(/\s+/).slice(1).map(Number);
  return {
    busy: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    interrupts: (irq + softirq) / TICKS_PER_SECOND,
    stolen: steal / TICKS_PER_SECOND,
  };
}

function secondsIn(stat) {
  const text = readFileSync(stat, "utf8");
  // Behind the name, which may contain anything, in parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Seconds that a process has run, threads that have ended included. */
export const processSeconds = (pid) => secondsIn(`/proc/${pid}/stat`);

/** Seconds that all processes of this namespace have run, but for those that have ended. */
export function ownSeconds() {
  return readdirSync("/proc")
    .filter((each) => /^\d+$/.test(each))
    .reduce((sum, pid) => {
      try {
        return sum + processSeconds(pid);
      } catch {
        // It has just ended.
        return sum;
      }
    }, 0);
}

/** Seconds that one of its threads has run. */
export const threadSeconds = (pid, thread) => secondsIn(`/proc/${pid}/task/${thread}/stat`);

/** The thread of a process that may run on this processor only. */
export function threadOn(pid, core) {
  const pinned = readdirSync(`/proc/${pid}/task`).filter((id) => {
    const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/task/${id}/status`, "utf8"));
    return allowed?.[1] === String(core);
  });
  if (pinned.length !== 1) throw new Error(`${pinned.length} threads of process ${pid} are bound to processor ${core}`);
  return pinned[0];
}

/** Memory that a process has from the kernel. */
export const residentBytes = (pid) => Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * PAGE_BYTES;
