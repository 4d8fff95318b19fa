import { expect, test } from "vitest";
import { buildFolder } from "../../guest/testing/build.js";
import { Host } from "../../guest/testing/host.js";

test("the time, twice a second", { timeout: 60_000 }, async () => {
  const host = new Host((await buildFolder(import.meta.url)).wasm, { listen: { main: "tcp:8007" } });
  const peer = host.connect();
  host.run();
  expect(peer.text()).toBe("0\n");
  host.advance(2_600);
  expect(peer.text()).toBe("0\n1\n1\n2\n2\n");
  peer.close();
  host.run();
  host.advance(2_000);
  expect(peer.text()).toBe("");
  expect(host.refusals).toEqual([]);
});
