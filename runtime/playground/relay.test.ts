import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { MAX_RELAYED_CONNECTIONS, type Relay, relay } from "./relay.js";

const servers: Server[] = [];
const relays: Relay[] = [];

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** The end of a socket, which may be a reset. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on("error", () => {}).once("close", () => resolve());
  });
}

afterEach(() => {
  for (const each of relays.splice(0)) each.close();
  for (const each of servers.splice(0)) each.close();
});

async function relayTo(port: number): Promise<{ port: number; relay: Relay }> {
  const server = createServer();
  const relayPort = await listening(server);
  const running = relay(server, { host: "127.0.0.1", port });
  relays.push(running);
  return { port: relayPort, relay: running };
}

test("bytes arrive unchanged and a half close passes through in both directions", async () => {
  const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  const { port } = await relayTo(await listening(echo));
  const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const sent = randomBytes(3_000_000);
  const received = createHash("sha256");
  client.on("data", (chunk) => received.update(chunk));
  client.end(sent);
  await once(client, "end");
  expect(received.digest("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
});

test("a refused upstream closes the client", async () => {
  const gone = createServer();
  const goneport = await listening(gone);
  gone.close();
  await once(gone, "close");
  const { port, relay: running } = await relayTo(goneport);
  const client = connect({ port, host: "127.0.0.1" });
  await closed(client);
  expect(running.open()).toBe(0);
});

test("clients beyond the bound are turned away and counted", async () => {
  const silent = createServer();
  const { port, relay: running } = await relayTo(await listening(silent));
  const clients = Array.from({ length: MAX_RELAYED_CONNECTIONS + 1 }, () => connect({ port, host: "127.0.0.1" }));
  await Promise.race(clients.map(closed));
  expect(running.refused()).toBe(1);
  expect(running.open()).toBe(MAX_RELAYED_CONNECTIONS);
  for (const client of clients) client.destroy();
});
