import { beforeAll, expect, test } from "vitest";
import { buildFolder } from "../../guest/testing/build.js";
import { Host, type HostOptions, type Peer } from "../../guest/testing/host.js";

let wasm: Uint8Array;
beforeAll(async () => {
  wasm = (await buildFolder(import.meta.url)).wasm;
}, 60_000);

const start = (options: HostOptions = {}): { host: Host; client: Peer; upstream: Peer } => {
  const host = new Host(wasm, { listen: { main: "tcp:9000" }, ...options });
  const client = host.connect();
  host.run();
  const upstream = [...host.peers.values()].find((peer) => peer.to !== "") as Peer;
  return { host, client, upstream };
};

test("bytes go both ways, by forwarding", () => {
  const { host, client, upstream } = start();
  expect(upstream.to).toBe("10.44.0.1:9000");
  client.send("early"); // before the server has answered
  host.run();
  host.establish(upstream);
  upstream.send("answer");
  host.run();
  expect(host.commands.map((command) => command.kind)).toEqual(["forward"]);
  expect(upstream.text()).toBe("early");
  expect(client.text()).toBe("answer");
  expect(client.heldBytes + upstream.heldBytes).toBe(0);
  client.end();
  host.run();
  expect(upstream.finished).toBe(true);
  upstream.end();
  host.run();
  expect(client.finished).toBe(true);
  expect(host.refusals).toEqual([]);
});

test("a server that refuses resets the client", () => {
  const { host, client, upstream } = start();
  upstream.close(4);
  host.run();
  expect(client.aborted).toBe(true);
});

test("without a ticket the client is reset", () => {
  const { host, client } = start({ tickets: 0 });
  expect(client.aborted).toBe(true);
  expect(host.refusals).toEqual([]);
});

test("an idle client is reset after 30 s", () => {
  const { host, client, upstream } = start();
  host.advance(20_000);
  client.send("x");
  host.run();
  host.advance(29_000);
  expect(client.aborted).toBe(false);
  host.advance(2_000);
  host.run();
  expect(client.aborted).toBe(true);
  expect(upstream.aborted).toBe(true);
});
