/** Node itself. */
import { SetupError } from "../report.js";

/** The oldest Node that weir runs on, as [major, minor]; package.json says the same under engines. */
const OLDEST = [20, 19];

/** Whether `version` (as process.versions.node) is new enough. */
export function isSupported(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

export const node = {
  name: "node",
  check() {
    return { done: isSupported(process.versions.node), state: process.versions.node };
  },
  mend() {
    throw new SetupError(`Node ${process.versions.node} is too old: weir needs ${OLDEST.join(".")} or newer.`, {
      advice: "Install a newer Node and run the same command again.",
    });
  },
};
