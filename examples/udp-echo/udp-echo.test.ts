import { expect, test } from "vitest";
import { buildFolder } from "../../guest/testing/build.js";
import { Host } from "../../guest/testing/host.js";

test("every datagram goes back", { timeout: 60_000 }, async () => {
  const host = new Host((await buildFolder(import.meta.url)).wasm, { listen: { main: "udp:7" } });
  host.datagram(new TextEncoder().encode("ping"));
  host.datagram(new Uint8Array(0));
  host.run();
  expect(host.datagrams.map((d) => [d.port, new TextDecoder().decode(d.data)])).toEqual([
    [5353, "ping"],
    [5353, ""],
  ]);
});
