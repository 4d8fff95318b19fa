import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { acquireLock } from "./lock.js";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-lock-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

test("a lock excludes until it is given back", async () => {
  const path = join(folder, "deep", "lock");
  const order = [];
  const first = await acquireLock(path);
  const waiting = acquireLock(path).then((release) => {
    order.push("second");
    return release;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  order.push("first ends");
  await first();
  await (await waiting)();
  expect(order).toEqual(["first ends", "second"]);
});

test("whoever waits is told once", async () => {
  const path = join(folder, "lock");
  const first = await acquireLock(path);
  let told = 0;
  const waiting = acquireLock(path, () => told++);
  await new Promise((resolve) => setTimeout(resolve, 1_300));
  expect(told).toBe(1);
  await first();
  await (await waiting)();
});

test("a lock ends with a holder that was killed", async () => {
  const path = join(folder, "lock");
  const module = fileURLToPath(new URL("./lock.js", import.meta.url));
  const script = `import { acquireLock } from ${JSON.stringify(module)}; await acquireLock(process.argv[1]); console.log("held"); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", script, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  const waiting = acquireLock(path);
  holder.kill("SIGKILL");
  await (await waiting)();
});
