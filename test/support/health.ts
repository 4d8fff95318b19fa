/** Whether a host is as well as before: everything is served, and nothing is held. */
import { expect } from "vitest";
import { type TestHost, WEIR_ADDRESS, WEIR_ADDRESS_V6 } from "./host.js";
import { peer } from "./peers.js";
import { until } from "./processes.js";
import { statsOf } from "./stats.js";

const ECHO_PORT = 7;
const STREAM_BYTES = 262_144;
/** How long a half-open connection is kept, and a closed one whose last segment nobody acknowledged. */
const FORGOTTEN_TIMEOUT_MS = 90_000;

/** Waits until no app has a connection any more, and none of their bytes is held; the chunk being filled always is. */
export async function expectNothingHeld(host: TestHost): Promise<void> {
  const held = async () => {
    const { apps } = await statsOf(host);
    const busy = apps.filter(({ counters }) => counters.connections_open !== 0 || counters.window_chunks! > 1);
    return busy.map(({ name, counters: { connections_open, window_chunks } }) => ({
      name,
      connections_open,
      window_chunks,
    }));
  };
  // Connections that weir closed first stay in TIME-WAIT for its time, but no app has them any more.
  await until("the end of all connections", async () => (await held()).length === 0, FORGOTTEN_TIMEOUT_MS).catch(
    () => {},
  );
  expect(await held()).toEqual([]);
}

/** A TCP stream, a datagram, a page and an echo request, over both families; the apps are hello, echo and udp-echo. */
export async function expectServed(host: TestHost): Promise<void> {
  const { namespace } = host;
  for (const address of [WEIR_ADDRESS, WEIR_ADDRESS_V6]) {
    const where = { host: address, port: ECHO_PORT };
    type Found = { received: number; sentSha256: string; receivedSha256: string };
    const found = await peer<Found>(namespace, "stream", { ...where, bytes: STREAM_BYTES });
    expect(found.received).toBe(STREAM_BYTES);
    expect(found.receivedSha256).toBe(found.sentSha256);
    expect(await peer(namespace, "datagrams", { ...where, sizes: [100, 3_000] })).toEqual({ echoed: 2 });
    const url = `http://${address.includes(":") ? `[${address}]` : address}/users/7`;
    expect(await namespace.mustExecute(["curl", "-sS", "-g", "--max-time", "20", url])).toContain('"id":"7"');
    await namespace.mustExecute(["ping", "-n", "-c", "1", "-W", "10", address]);
  }
  for (const { name, failures } of (await statsOf(host)).apps) expect([name, failures]).toEqual([name, 0]);
}
