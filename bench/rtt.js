/** The round trip of one message of one connection, with nothing else to do; 64 bytes to 512 KiB. */
import { compareLoads, ECHO, LINUX_ECHO } from "./compare-loads.js";

const SIZES_BYTES = [64, 1_024, 8_192, 65_536, 524_288];
/** A turn with so much to send and receive takes long. */
const LONG_BYTES = 65_536;
/** Against a server that waits; a spinning one is printed beside it. */
const GOAL_OF_SMALL = { epoll: 8 };
const { epoll, "spinning epoll": spinning } = LINUX_ECHO;
const SERVER = { ...ECHO, linux: { epoll, "spinning epoll": spinning } };

/** The figure. */
export async function rtt({ quick, only = "", progress }) {
  const cases = SIZES_BYTES.map((bytes) => ({
    name: `${bytes} bytes`,
    options: {
      connections: 1,
      bytes,
      "stall-us": bytes < LONG_BYTES ? 100 : 2_000,
      seconds: quick ? 0.25 : 0.5,
      windows: quick ? 5 : 7,
    },
    goal: bytes === SIZES_BYTES[0] ? GOAL_OF_SMALL : undefined,
  })).filter(({ name }) => name.includes(only));
  return await compareLoads({
    figure: "rtt",
    server: SERVER,
    cases,
    rounds: quick ? 2 : 5,
    show: ["p50", "p99"],
    progress,
  });
}
