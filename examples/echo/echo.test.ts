import { expect, test } from "vitest";
import { buildFolder } from "../../guest/testing/build.js";
import { Host } from "../../guest/testing/host.js";

test("what comes in goes out, with one command for each event", { timeout: 60_000 }, async () => {
  const host = new Host((await buildFolder(import.meta.url)).wasm, { listen: { main: "tcp:7" } });
  const peer = host.connect();
  host.run();
  peer.send("hello ").send("world");
  host.run();
  expect(host.commands.map((command) => command.kind)).toEqual(["forward", "forward"]);
  expect(peer.text()).toBe("hello world");
  expect(peer.heldBytes).toBe(0);
  peer.end();
  host.run();
  expect(peer.finished).toBe(true);
  expect(host.refusals).toEqual([]);
});
