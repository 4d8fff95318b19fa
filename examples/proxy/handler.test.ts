import { type Connection, host, type TestHost } from "@weir/host/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

let weir: TestHost;
beforeEach(async () => {
  weir = await host({ app: import.meta.dirname, link: { delayMs: 5 } });
});
afterEach(() => weir.close());

/** A client, and its connection as the server sees it. */
async function connected(): Promise<{ client: Connection; server: Connection }> {
  const upstream = weir.listen("10.44.0.1", 9000);
  const client = await weir.connect(9000, { from: "192.0.2.7" });
  return { client, server: await upstream.accept() };
}

test("bytes go both ways", async () => {
  const { client, server } = await connected();
  await client.write("question");
  expect(await server.read({ bytes: 8 })).toBe("question");
  await server.write("answer");
  expect(await client.read({ bytes: 6 })).toBe("answer");
  await client.end();
  expect(await server.read()).toBe("");
  await server.end();
  expect(await client.closed()).toBe("finished");
  expect(await server.closed()).toBe("finished");
});

test("what is sent before the server answers is not lost", async () => {
  const upstream = weir.listen("10.44.0.1", 9000);
  const client = await weir.connect(9000);
  await client.write("early");
  expect(await (await upstream.accept()).read({ bytes: 5 })).toBe("early");
});

test("a server that refuses resets the client", async () => {
  const client = await weir.connect(9000);
  expect(await client.closed()).toBe("reset");
});

test("an idle client is reset after 30 s, and not before", async () => {
  const { client, server } = await connected();
  await weir.advance(20_000);
  await client.write("x");
  await weir.advance(29_000);
  expect(await server.read()).toBe("x");
  expect(await client.describe()).toContain("ESTABLISHED");
  await weir.advance(2_000);
  expect(await client.closed({ withinMs: 0 })).toBe("reset");
  expect(await server.closed({ withinMs: 0 })).toBe("reset");
});

test("a slow server slows the client down, over a link that loses frames", async () => {
  weir.link.loss = 0.01;
  const { client, server } = await connected();
  const data = new Uint8Array(4_000_000).fill(7);
  const writing = client.write(data, { withinMs: 600_000 });
  await weir.advance(5_000);
  expect((await weir.stats()).app.received_bytes).toBeLessThan(2_000_000);
  const received = await server.readBytes({ bytes: data.length, withinMs: 600_000 });
  expect(Buffer.compare(received, data)).toBe(0);
  await writing;
});
