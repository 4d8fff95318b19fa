import { mkdtemp, rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DataplaneClient } from "./client.js";
import type { AppEvent, AppSpec } from "./native.js";
import type { DataplaneConfig } from "./protocol.js";
import { DataplaneServer } from "./server.js";
import { fakeNative } from "./testing/fake-native.js";

const config: DataplaneConfig = {
  port: {
    driver: "tap",
    device: "t0",
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
  persistent: true,
  temporary: false,
};
const app = (id: number, port: number, vars: Record<string, string> = {}): AppSpec => ({
  id,
  name: `app${id}`,
  tenant: "default",
  compiledPath: "/nowhere",
  listens: [{ name: "main", protocol: "tcp", port }],
  connects: [],
  vars: Object.entries(vars),
  memoryPages: 576,
  connections: 10,
  pollUs: 1000,
});

let directory: string;
let path: string;
let server: DataplaneServer;
let stopped: Promise<void>;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "weir-server-test-"));
  path = join(directory, "dataplane.sock");
  const native = fakeNative();
  const dataplane = await native.startDataplane({ ...config, countersPath: join(directory, "counters") });
  stopped = new Promise((resolve) => {
    server = new DataplaneServer({ native, dataplane, config, tscHz: 1, onStop: resolve });
  });
  await server.listen(path);
});
afterEach(async () => {
  server.close();
  await rm(directory, { recursive: true });
});

/** Resolves with the first `count` events. */
function events(client: DataplaneClient, after: number, count: number): Promise<AppEvent[]> {
  const got: AppEvent[] = [];
  return new Promise((resolve, reject) => {
    client
      .subscribe(after, (message) => {
        got.push(...message.events);
        if (got.length >= count) resolve(got);
      })
      .catch(reject);
  });
}

it("is for its owner only", async () => {
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

it("tells what runs", async () => {
  const client = await DataplaneClient.connect(path);
  await client.deploy(app(1, 7), "d1");
  await client.deploy(app(2, 8), "d2");
  await client.remove(2);
  await client.remove(9);
  client.close();
  const next = await DataplaneClient.connect(path);
  expect(next.hello.apps).toEqual([{ id: 1, digest: "d1" }]);
  expect(next.hello.config).toEqual(config);
  expect(next.hello.engineVersion).toBe("fake 1");
  expect(await next.connections()).toEqual([{ appId: 1, open: 3 }]);
  next.close();
});

it("refuses a second control plane and names the first", async () => {
  const client = await DataplaneClient.connect(path);
  await expect(DataplaneClient.connect(path)).rejects.toMatchObject({
    code: "busy",
    message: `another control plane (pid ${process.pid}) has this dataplane`,
  });
  expect(await client.connections()).toEqual([]);
  client.close();
});

it("passes on why an app is rejected and forgets it", async () => {
  const client = await DataplaneClient.connect(path);
  await expect(client.deploy(app(1, 7, { REJECT: "no room" }), "d1")).rejects.toMatchObject({
    code: "rejected",
    message: "no room",
  });
  client.close();
  const next = await DataplaneClient.connect(path);
  expect(next.hello.apps).toEqual([]);
  next.close();
});

it("sends events as they come, and to a new control plane those it missed", async () => {
  const client = await DataplaneClient.connect(path);
  const first = events(client, 0, 4);
  await client.deploy(app(1, 7, { LOG: "3" }), "d1");
  expect((await first).map(({ text }) => text)).toEqual(["", "line 0", "line 1", "line 2"]);
  client.close();
  const next = await DataplaneClient.connect(path);
  expect((await events(next, 2, 2)).map(({ sequence }) => sequence)).toEqual([3, 4]);
  next.close();
});

it("sends many events without an unbounded buffer and in order", async () => {
  const client = await DataplaneClient.connect(path);
  const all = events(client, 0, 8001);
  await client.deploy(app(1, 7, { LOG: "8000" }), "d1");
  const got = await all;
  expect(got.map(({ sequence }) => sequence)).toEqual(got.map((_, index) => index + 1));
  client.close();
});

it.each(["{}\n", '{"id":1}\n', '{"id":1,"method":5}\n', "x\n", `"${"x".repeat(5_000_000)}"\n`])(
  "hangs up on nonsense and serves on",
  async (text) => {
    const socket = connect(path);
    socket.on("error", () => undefined);
    socket.write(text);
    await new Promise((resolve) => socket.on("close", resolve));
    const client = await DataplaneClient.connect(path);
    client.close();
  },
);

it("does nothing for who did not say hello", async () => {
  const socket = connect(path);
  socket.write('{"id":1,"method":"stop","params":{}}\n');
  const answer = await new Promise<string>((resolve) => socket.on("data", (data) => resolve(data.toString())));
  expect(JSON.parse(answer)).toEqual({ id: 1, error: { code: "protocol", message: "say hello first" } });
  socket.destroy();
});

it("refuses another version of the protocol", async () => {
  const socket = connect(path);
  socket.write('{"id":1,"method":"hello","params":{"pid":1,"protocol":99}}\n');
  const answer = await new Promise<string>((resolve) => socket.on("data", (data) => resolve(data.toString())));
  expect(JSON.parse(answer).error.code).toBe("protocol");
  socket.destroy();
});

it("stops when asked, after the answer", async () => {
  const client = await DataplaneClient.connect(path);
  await client.stop();
  await stopped;
});
