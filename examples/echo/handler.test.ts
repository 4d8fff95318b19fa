import { host, type TestHost } from "@weir/host/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

let weir: TestHost;
beforeEach(async () => {
  weir = await host({ app: import.meta.dirname });
});
afterEach(() => weir.close());

test("what comes in goes out, by reference", async () => {
  const connection = await weir.connect();
  const text = "hello, world".repeat(100);
  await connection.write(text);
  expect(await connection.read({ bytes: text.length })).toBe(text);
  const { app } = await weir.stats();
  expect(app.sent_referenced_bytes).toBe(text.length);
  await connection.end();
  expect(await connection.closed()).toBe("finished");
});

test("a million bytes arrive over a link that loses, reorders and doubles frames", async () => {
  weir.link.set({ delayMs: 10, jitterMs: 2, loss: 0.02, reordering: 0.02, duplication: 0.01 });
  const connection = await weir.connect();
  const sent = Uint8Array.from({ length: 1_000_000 }, (_, index) => (index * 31) >> 3);
  const received = connection.readBytes({ bytes: sent.length, withinMs: 600_000 });
  await connection.write(sent, { withinMs: 600_000 });
  expect(Buffer.compare(await received, sent)).toBe(0);
});

test("a client that does not read is slowed down, and needs no code", async () => {
  const connection = await weir.connect();
  const data = new Uint8Array(8_000_000);
  const writing = connection.write(data, { withinMs: 600_000 });
  await weir.advance(60_000);
  const { app } = await weir.stats();
  expect(app.received_bytes).toBeLessThan(2_000_000);
  expect((await connection.readBytes({ bytes: data.length, withinMs: 600_000 })).length).toBe(data.length);
  await writing;
});
