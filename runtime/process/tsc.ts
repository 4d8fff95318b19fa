/** How fast the time stamp counter ticks. */
import { readFileSync } from "node:fs";

/**
 * Ticks a second as the text of /proc/cpuinfo tells, 0 when it does not. With constant_tsc the counter ticks at the
 * processor's nominal speed, which the model name carries or, in virtual machines, the "cpu MHz" line.
 */
export function tscHzOf(cpuinfo: string): number {
  if (!/^flags\s*:.*\bconstant_tsc\b/m.test(cpuinfo)) return 0;
  const nominal = /^model name\s*:.*@ ([\d.]+)GHz/m.exec(cpuinfo);
  if (nominal !== null) return Math.round(Number(nominal[1]) * 1e9);
  const mhz = /^cpu MHz\s*:\s*([\d.]+)/m.exec(cpuinfo);
  return mhz === null ? 0 : Math.round(Number(mhz[1]) * 1e6);
}

/** tscHzOf this machine. */
export function readTscHz(): number {
  try {
    return tscHzOf(readFileSync("/proc/cpuinfo", "utf8"));
  } catch {
    return 0;
  }
}
