import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { GREETING, startKernelServer } from "./kernel-server.js";
import { PROBES } from "./probe.js";

const open: { close(): unknown }[] = [];

afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

function portOf(server: Server): number {
  open.push(server);
  return (server.address() as AddressInfo).port;
}

async function run(name: string, port: number, argument = ""): Promise<Record<string, unknown>> {
  return { ...(await PROBES[name]!("127.0.0.1", port, argument)) };
}

test("the kernel server greets and echoes", async () => {
  const port = portOf(await startKernelServer("127.0.0.1", 0));
  expect(await run("greeted-echo", port, "100000")).toHaveProperty("sha256");
  expect(await run("first-line", port)).toEqual({ line: GREETING.trimEnd() });
});

test("an echo that changes or loses a byte is noticed", async () => {
  for (const change of [(chunk: Buffer) => chunk.fill(0, 10, 11), (chunk: Buffer) => chunk.subarray(1)]) {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.once("data", (chunk: Buffer) => socket.end(change(chunk)));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await expect(run("tcp-echo", portOf(server), "1000")).rejects.toThrow("first difference");
  }
});

test("datagrams of all sizes come back, and a changed one is noticed", async () => {
  let spoil = false;
  const server = createSocket("udp4");
  open.push(server);
  server.on("message", (message, peer) => server.send(spoil ? Buffer.concat([message, message]) : message, peer.port));
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  expect(await run("udp-echo", port, "5")).toHaveProperty("count", 5);
  spoil = true;
  await expect(run("udp-echo", port, "5")).rejects.toThrow("other ones");
});

test("refused tells a closed port from an open one", async () => {
  const server = await startKernelServer("127.0.0.1", 0);
  const { port } = server.address() as AddressInfo;
  await expect(run("refused", port)).rejects.toThrow("accepted");
  server.close();
  expect(await run("refused", port)).toEqual({ refused: true });
});
