/**
 * The round trip of one message of one connection, with nothing else to do, beside that of a datagram over the bare link;
 * 64 bytes to 512 KiB. From the longer ones: at which size half of the greatest bandwidth is reached (NetPIPE).
 */
import { compareLoads, ECHO, LINUX_ECHO, MEASURES, medianOf } from "./compare-loads.js";
import { LINK } from "./load-sides.js";
import { judge } from "./report.js";
import { halfBandwidthBytes } from "./round-trips.js";

const SIZES_BYTES = [64, 1_024, 8_192, 65_536, 524_288];
const [SMALL_BYTES] = SIZES_BYTES;
/** A turn with so much to send and receive takes long. */
const LONG_BYTES = 65_536;
/** Against a server that waits; a spinning one is printed beside it. */
const GOAL_OF_SMALL = { epoll: 8 };
/** More than the bare link's, and how much smaller a message has half of the bandwidth than with Linux. */
const GOAL_MORE_THAN_LINK_US = 0.8;
const GOAL_HALF_BANDWIDTH = 10;
const { epoll, "spinning epoll": spinning } = LINUX_ECHO;
const SERVER = { ...ECHO, linux: { epoll, "spinning epoll": spinning } };
const nameOf = (bytes) => `${bytes} bytes`;

/** The figure. */
export async function rtt({ quick, only = "", progress }) {
  const cases = SIZES_BYTES.map((bytes) => ({
    name: nameOf(bytes),
    options: {
      connections: 1,
      bytes,
      "stall-us": bytes < LONG_BYTES ? 100 : 2_000,
      seconds: quick ? 0.25 : 0.5,
      windows: quick ? 5 : 7,
    },
    goal: bytes === SMALL_BYTES ? GOAL_OF_SMALL : undefined,
    link: bytes === SMALL_BYTES ? { udp: 7 } : undefined,
  })).filter(({ name }) => name.includes(only));
  const report = await compareLoads({
    figure: "rtt",
    server: SERVER,
    cases,
    rounds: quick ? 2 : 5,
    show: ["p50", "p99"],
    progress,
  });
  const ofSide = (side) =>
    SIZES_BYTES.map((bytes) => ({ bytes, us: medianOf(report, nameOf(bytes), side, MEASURES.p50.unit) })).filter(
      ({ us }) => us !== undefined,
    );
  const [ours, theirs, link] = ["weir", "epoll", LINK].map(ofSide);
  if (link.length > 0 && ours.length > 0) {
    const name = `${nameOf(SMALL_BYTES)}: us more than over the bare link`;
    report.ratios.push(judge(name, ours[0].us - link[0].us, { atMost: GOAL_MORE_THAN_LINK_US }));
  }
  const [half, halfOfLinux] = [ours, theirs].map(halfBandwidthBytes);
  if (half !== undefined && halfOfLinux !== undefined) {
    report.ratios.push(judge("bytes of a message with half of the greatest bandwidth", half));
    report.ratios.push(judge("the same, epoll", halfOfLinux));
    report.ratios.push(judge("the same, epoll / weir", halfOfLinux / half, { atLeast: GOAL_HALF_BANDWIDTH }));
  }
  return report;
}
