/** One packet in 50 is lost in each direction: what arrives is intact. */
import { expect, test } from "vitest";
import { example } from "./support/clone.js";
import { DEVICE, TestHost, WEIR_ADDRESS } from "./support/host.js";
import { peer } from "./support/peers.js";
import { statsOf } from "./support/stats.js";

const MIB = 1_048_576;
const ONE_IN = 50;
/** Not weir's: it drops what is sent there. */
const NOBODY = "10.44.0.99";
/**
 * Each direction counts from 1 to 50; the 50th packet is lost. The kernel would notice if its own were dropped by nft, and
 * just send them again; so they go out, to an address that nobody has.
 */
const LOSS = `
table inet loss {
  chain in {
    type filter hook input priority 0
    iifname "${DEVICE}" meta l4proto tcp numgen inc mod ${ONE_IN} offset 1 ${ONE_IN} counter drop
  }
  chain out {
    type filter hook output priority 0
    oifname "${DEVICE}" meta l4proto tcp numgen inc mod ${ONE_IN} offset 1 ${ONE_IN} counter ip daddr set ${NOBODY}
  }
}
`;

test("10 MiB go through the echo and back though 1 packet in 50 is lost each way", async () => {
  const host = await TestHost.start();
  await host.deploy(example("echo"));
  const { namespace } = host;
  // nft would drop the kernel's large packets as a whole, before they are cut into those that leave.
  await namespace.mustExecute(["ip", "link", "set", "dev", DEVICE, "gso_max_segs", "1"]);
  // With a known link address nothing waits for an answer from NOBODY: the kernel does not send a segment again while the
  // one before is still in its own hands.
  await namespace.mustExecute(["ping", "-c", "1", WEIR_ADDRESS]);
  const neighbor = await namespace.mustExecute(["ip", "neigh", "show", WEIR_ADDRESS]);
  const linkAddress = /lladdr (\S+)/.exec(neighbor)?.[1] ?? "";
  await namespace.mustExecute(
    ["ip", "neigh", "replace", NOBODY, "lladdr", linkAddress, "dev", DEVICE].concat("nud", "permanent"),
  );
  await namespace.mustExecute(["nft", "-f", "-"], { input: LOSS });
  const bytes = 10 * MIB;
  type Found = { received: number; sentSha256: string; receivedSha256: string };
  const found = await peer<Found>(namespace, "stream", { port: 7, bytes });
  expect(found.received).toBe(bytes);
  expect(found.receivedSha256).toBe(found.sentSha256);

  const rules = await namespace.mustExecute(["nft", "list", "table", "inet", "loss"]);
  const lost = [...rules.matchAll(/counter packets (\d+)/g)].map(([, packets]) => Number(packets));
  // A segment carries at most 1448 bytes, so that many are sent at least.
  for (const packets of lost) expect(packets).toBeGreaterThan(bytes / 1_448 / ONE_IN / 2);
  expect(lost).toHaveLength(2);
  const stats = await statsOf(host);
  expect(stats.drops.drop_ip_foreign).toBeGreaterThanOrEqual(lost[1]!);
  expect(stats.counter("tcp_retransmits")).toBeGreaterThan(0);
  expect(stats.counter("tcp_fast_retransmits")).toBeGreaterThan(0);
  expect(stats.counter("tcp_out_of_order")).toBeGreaterThan(0);
  expect(stats.app("echo").counters.received_bytes).toBe(bytes);
  expect(stats.app("echo").counters.sent_bytes).toBe(bytes);
});
