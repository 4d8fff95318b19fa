/** Echo of messages of 64 bytes to 8 KiB: messages for each core-second. */
import { compareLoads, ECHO } from "./compare-loads.js";

const SIZES_BYTES = [64, 256, 1_024, 4_096, 8_192];
const CONNECTIONS = 256;
const GOAL_OF_SMALL = 30;

/** The figure. */
export async function size({ quick, only = "", progress }) {
  const cases = SIZES_BYTES.map((bytes) => ({
    name: `${bytes} bytes`,
    options: { connections: CONNECTIONS, bytes, seconds: quick ? 0.25 : 0.5, windows: quick ? 4 : 6 },
    goal: bytes === SIZES_BYTES[0] ? GOAL_OF_SMALL : undefined,
  })).filter(({ name }) => name.includes(only));
  return await compareLoads({ figure: "size", server: ECHO, cases, rounds: quick ? 2 : 5, progress });
}
