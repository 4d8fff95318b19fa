import { host, type TestHost } from "@weir/host/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

let weir: TestHost;
beforeEach(async () => {
  weir = await host({ app: import.meta.dirname });
});
afterEach(() => weir.close());

test("the time, twice a second", async () => {
  const connection = await weir.connect();
  await weir.advance(2_600);
  expect(await connection.read()).toBe("0\n0\n1\n1\n2\n2\n");
});

test("an hour of it takes no time", async () => {
  await weir.advance(3_600_000);
  expect(weir.nowMs).toBe(3_600_000);
  const connection = await weir.connect();
  expect(await connection.read({ until: "\n" })).toBe("3600\n");
});

test("a connection that has closed is not told any more", async () => {
  const connection = await weir.connect();
  await connection.read({ until: "\n" });
  await connection.abort();
  await weir.advance(5_000);
  expect(weir.failures).toEqual([]);
  expect((await weir.stats()).app.refused_stale_handle).toBe(0);
});

test("after a partition all lines come, in order", async () => {
  const connection = await weir.connect();
  await weir.advance(1_100);
  weir.partition();
  await weir.advance(5_000);
  weir.heal();
  await weir.advance(10_000);
  const lines = (await connection.read()).trimEnd().split("\n").map(Number);
  expect(lines.length).toBeGreaterThan(20);
  expect(lines).toEqual([...lines].sort((a, b) => a - b));
});
