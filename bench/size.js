/**
 * Echo of messages of 64 bytes to 8 KiB: messages for each core-second, and what the largest carry beside the bare link
 * with full datagrams.
 */
import { compareLoads, ECHO, medianOf } from "./compare-loads.js";
import { LINK } from "./load-sides.js";
import { judge } from "./report.js";

const SIZES_BYTES = [64, 256, 1_024, 4_096, 8_192];
const LARGEST_BYTES = SIZES_BYTES.at(-1);
/** What a frame of Ethernet's carries of a datagram. */
const DATAGRAM_BYTES = 1_472;
const CONNECTIONS = 256;
const GOAL_OF_SMALL = 30;
const GOAL_OF_LINK = 0.6;
const nameOf = (bytes) => `${bytes} bytes`;

/** The figure. */
export async function size({ quick, only = "", progress }) {
  const cases = SIZES_BYTES.map((bytes) => ({
    name: nameOf(bytes),
    options: { connections: CONNECTIONS, bytes, seconds: quick ? 0.25 : 0.5, windows: quick ? 4 : 6 },
    goal: bytes === SIZES_BYTES[0] ? GOAL_OF_SMALL : undefined,
    link: bytes === LARGEST_BYTES ? { udp: 7, bytes: DATAGRAM_BYTES } : undefined,
  })).filter(({ name }) => name.includes(only));
  const report = await compareLoads({ figure: "size", server: ECHO, cases, rounds: quick ? 2 : 5, progress });
  const ours = medianOf(report, nameOf(LARGEST_BYTES));
  const link = medianOf(report, nameOf(LARGEST_BYTES), LINK);
  if (ours !== undefined && link !== undefined) {
    const name = `${nameOf(LARGEST_BYTES)}: bytes/core-s, weir / the bare link with ${DATAGRAM_BYTES} a datagram`;
    const share = (ours * LARGEST_BYTES) / (link * DATAGRAM_BYTES);
    report.ratios.push(judge(name, share, { atLeast: GOAL_OF_LINK }));
  }
  return report;
}
