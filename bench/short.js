/** Short connections: connect, so many messages of 64 bytes, reset. Messages for each core-second. */
import { compareLoads, ECHO } from "./compare-loads.js";

const MESSAGES = [1, 2, 8, 64, 512];
const CONNECTIONS = 128;
const GOAL_OF_ONE = 20;

/** The figure. */
export async function short({ quick, only = "", progress }) {
  const cases = MESSAGES.map((messages) => ({
    name: `${messages} messages`,
    options: {
      connections: CONNECTIONS,
      "per-connection": messages,
      bytes: 64,
      seconds: quick ? 0.25 : 0.5,
      windows: quick ? 4 : 6,
    },
    goal: messages === 1 ? GOAL_OF_ONE : undefined,
  })).filter(({ name }) => name.includes(only));
  return await compareLoads({ figure: "short", server: ECHO, cases, rounds: quick ? 2 : 5, progress });
}
