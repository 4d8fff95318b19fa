import { host, type TestHost } from "@weir/host/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

let weir: TestHost;
beforeEach(async () => {
  weir = await host({ app: import.meta.dirname });
});
afterEach(() => weir.close());

test("hello", async () => {
  const response = await weir.fetch("/");
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(await response.text()).toBe("hello, visitor 1\n");
});

test("visits are counted as long as the instance lives", async () => {
  await weir.fetch("/");
  expect(await (await weir.fetch("/")).text()).toBe("hello, visitor 2\n");
});

test("a parameter, as JSON", async () => {
  const response = await weir.fetch("/users/7");
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toEqual({ id: "7", visits: 0 });
});

test("a parameter in the query", async () => {
  expect(await (await weir.fetch("/sum?n=41", { method: "POST" })).text()).toBe("42");
  const missing = await weir.fetch("/sum", { method: "POST" });
  expect(missing.status).toBe(400);
  expect(await missing.text()).toBe("n is missing\n");
});

test("it answers over a bad link too", async () => {
  weir.link.set({ delayMs: 40, loss: 0.2 });
  for (let visit = 1; visit <= 20; visit++) {
    expect(await (await weir.fetch("/", { withinMs: 300_000 })).text()).toBe(`hello, visitor ${visit}\n`);
  }
  expect((await weir.stats()).link.toHost.lost).toBeGreaterThan(10);
});
