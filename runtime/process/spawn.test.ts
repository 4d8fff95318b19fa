import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { DataplaneConfig } from "./protocol.js";
import { isDataplaneOf, spawnDataplane } from "./spawn.js";
import { FAKE_ENTRIES } from "./testing/entries.js";

const config = (device: string, persistent: boolean): DataplaneConfig => ({
  port: {
    driver: "tap",
    device,
    tenant: "",
    addresses: ["10.0.0.2/24"],
    routes: [],
    nameServers: [],
    vlanId: 0,
    dhcp: false,
    acceptRa: false,
    detectConflicts: false,
    linkAddress: "",
    mtuBytes: 1500,
    offload: false,
  },
  tcp: {
    congestionControl: "cubic",
    ecn: false,
    keepAliveMs: 0,
    userTimeoutMs: 0,
    timeWaitMs: 60_000,
    synCookies: true,
    hopLimit: 64,
  },
  worker: { batch: 64, spinUs: 50, cores: [-1], maxConnections: 100 },
  persistent,
  temporary: !persistent,
});

let runDirectory: string;
beforeEach(async () => {
  runDirectory = await mkdtemp(join(tmpdir(), "weir-spawn-test-"));
});
afterEach(() => rm(runDirectory, { recursive: true, force: true }));

async function untilGone(pid: number): Promise<void> {
  while (isDataplaneOf(pid, runDirectory)) await sleep(10);
}

it("starts a process in a session of its own and ends it", async () => {
  const { client } = await spawnDataplane({ config: config("t0", true), runDirectory, entry: FAKE_ENTRIES.dataplane });
  const { pid } = client.hello;
  expect(pid).not.toBe(process.pid);
  expect(isDataplaneOf(pid, runDirectory)).toBe(true);
  expect(isDataplaneOf(process.pid, runDirectory)).toBe(false);
  await client.stop();
  await untilGone(pid);
  expect(existsSync(join(runDirectory, "dataplane.sock"))).toBe(false);
});

it("ends with the pipe of the one that started it, and takes a temporary directory with it", async () => {
  const spawned = await spawnDataplane({ config: config("t0", false), runDirectory, entry: FAKE_ENTRIES.dataplane });
  spawned.process.stdin!.destroy();
  await untilGone(spawned.client.hello.pid);
  expect(existsSync(runDirectory)).toBe(false);
});

it("says what the process said when it does not start", async () => {
  const options = { config: config("broken0", true), runDirectory, entry: FAKE_ENTRIES.dataplane };
  await expect(spawnDataplane(options)).rejects.toThrow(
    /^the dataplane did not start: it ended with 1\nno such device: broken0\n\(log: .*dataplane\.log\)$/,
  );
});

it("does not wait for ever", async () => {
  const entry = join(runDirectory, "hangs.mjs");
  const { writeFile } = await import("node:fs/promises");
  await writeFile(entry, "setInterval(() => undefined, 1000);");
  const options = { config: config("t0", true), runDirectory, entry, readyTimeoutMs: 300 };
  await expect(spawnDataplane(options)).rejects.toThrow("it did not answer within 300 ms");
});

it("refuses a path that is too long for a socket", async () => {
  const options = {
    config: config("t0", true),
    runDirectory: `/tmp/${"x".repeat(120)}`,
    entry: FAKE_ENTRIES.dataplane,
  };
  await expect(spawnDataplane(options)).rejects.toThrow("too long for a socket");
});
