import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hostConfigSchema } from "../config/host-config.js";
import { type Manifest, manifestSchema } from "../config/manifest.js";
import { isDataplaneOf } from "../process/spawn.js";
import { FAKE_ENTRIES } from "../process/testing/entries.js";
import { HostClient } from "./client.js";
import { HostError } from "./errors.js";
import { type Host, type HostOptions, startHost } from "./host.js";
import type { DeployRequest, LogLine } from "./types.js";

const HOST_PROCESS = fileURLToPath(new URL("../dist/control/testing/host-process.js", import.meta.url));

let runDirectory: string;
let host: Host | undefined;
const children: ChildProcess[] = [];

beforeEach(async () => {
  runDirectory = await mkdtemp(join(tmpdir(), "weir-host-test-"));
});
afterEach(async () => {
  await host?.close({ stopDataplane: true });
  host = undefined;
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(runDirectory, { recursive: true, force: true });
});

async function start(config: unknown = {}, more: Partial<HostOptions> = {}): Promise<HostClient> {
  host = await startHost({
    config: hostConfigSchema.parse(config),
    runDirectory,
    stateDirectory: join(runDirectory, "state"),
    persistent: true,
    entries: FAKE_ENTRIES,
    ...more,
  });
  return new HostClient(host.socket);
}

/** A host in a process of its own, so that it can be killed. */
async function startProcess(kind: "persistent" | "temporary"): Promise<{ child: ChildProcess; client: HostClient }> {
  const child = spawn(process.execPath, [HOST_PROCESS, runDirectory, kind], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const line = await new Promise<string>((resolve) => child.stdout!.once("data", (data) => resolve(String(data))));
  expect(line).toBe("ready\n");
  return { child, client: new HostClient(join(runDirectory, "api.sock")) };
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

const manifest = (name: string, listen: object, more: object = {}): Manifest =>
  manifestSchema.parse({ name, listen: [listen], ...more });
const request = (name: string, port: number, more: Partial<DeployRequest> & { vars?: object } = {}): DeployRequest => {
  const { vars, ...rest } = more;
  return { manifest: manifest(name, { tcp: port }, { vars }), wasm: Buffer.from(`module ${name}`), ...rest };
};

async function refusal(promise: Promise<unknown>): Promise<HostError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HostError);
  return error as HostError;
}

async function logTexts(client: HostClient, query = {}): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of client.logs(query)) texts.push(text);
  return texts;
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await sleep(20);
}

describe("deploying", () => {
  it("lists, counts, logs and removes apps", async () => {
    const client = await start();
    const first = await client.deploy(request("echo", 7, { vars: { LOG: "2" } }));
    expect(first.app).toMatchObject({ id: 1, tenant: "default", name: "echo", state: "running", connections: 3 });
    expect(first.app.listens).toEqual([{ name: "main", protocol: "tcp", port: 7, address: "10.44.0.2" }]);
    expect(first.replaced).toBe(false);
    await client.deploy(request("other", 8, { tenant: "acme" }));
    expect((await client.list()).map(({ tenant, name }) => `${tenant}/${name}`)).toEqual([
      "default/echo",
      "acme/other",
    ]);
    await until(async () => (await logTexts(client, { app: "echo" })).length === 3);
    expect(await logTexts(client, { app: "echo" })).toEqual(["started", "line 0", "line 1"]);

    const stats = await client.stats();
    expect(stats.drops).toEqual({ drop_ip_checksum: 5 });
    expect(stats.worker).toEqual({ cycle: { tsc_rx: 1, tsc_net: 2 }, port: { rx_frames: 3, rx_batches: 4 } });
    expect(stats.batches).toEqual({ count: 4, framesPerBatch: 0.75 });
    expect(stats.stages.map(({ name, ticks }) => [name, ticks])).toEqual([
      ["rx", 1],
      ["net", 2],
    ]);
    expect(stats.apps[1]).toMatchObject({ name: "other", counters: { events: 10, commands: 11 } });

    await client.remove("echo");
    expect((await client.list()).map(({ name }) => name)).toEqual(["other"]);
    expect((await refusal(client.remove("echo"))).code).toBe("not_found");
    expect(await refusal(client.remove("other"))).toMatchObject({ hint: "did you mean --tenant acme?" });
  });

  it("replaces an app of the same name in its place", async () => {
    const client = await start();
    await client.deploy(request("echo", 7));
    const second = await client.deploy({ ...request("echo", 9), wasm: Buffer.from("another") });
    expect(second).toMatchObject({ replaced: true, app: { id: 1 } });
    expect((await client.list())[0]!.listens[0]!.port).toBe(9);
  });

  it("lets the ceiling win and says so", async () => {
    const client = await start({
      ceilings: { memory_mib: 32 },
      tenant: [{ name: "acme", listen: ["lan tcp 1-100"], ceilings: { connections: 5 } }],
    });
    const app = manifest("a", { tcp: 7 }, { limits: { memory_mib: 64, connections: 10 } });
    const { notes, app: info } = await client.deploy({ manifest: app, wasm: Buffer.from("m"), tenant: "acme" });
    expect(notes).toEqual([
      "limits.memory_mib: 64 is asked, 32 granted (the host's ceiling)",
      'limits.connections: 10 is asked, 5 granted (the ceiling of the tenant "acme")',
    ]);
    expect(info.limits).toEqual({ memory_mib: 32, connections: 5, poll_us: 2_000 });
  });

  it("maps a trap to the function and marks the app as failing", async () => {
    const client = await start();
    const frames = [{ functionIndex: 1, functionName: "handler/Echo#onData", moduleOffset: 9 }];
    await client.deploy(request("echo", 7, { vars: { TRAP: JSON.stringify(frames) } }));
    await until(async () => (await client.list())[0]!.state === "failing");
    expect((await client.list())[0]).toMatchObject({ failures: 1, problem: "trapped: unreachable in Echo#onData" });
  });
});

describe("refusing leaves what runs untouched", () => {
  it.each<[string, DeployRequest, Partial<HostError>]>([
    [
      "a port that is taken, HTTP and TCP being the same",
      { ...request("b", 7), manifest: manifest("b", { http: 7 }) },
      { code: "conflict", message: 'tcp 7 is taken by the app "a"' },
    ],
    [
      "a port of another tenant, without its name",
      request("b", 7, { tenant: "other" }),
      { code: "conflict", message: "tcp 7 is taken by an app of another tenant" },
    ],
    ["a module", { ...request("b", 8), wasm: Buffer.from("refuse") }, { code: "refused" }],
    [
      "a module that crashes its check",
      { ...request("b", 8), wasm: Buffer.from("crash") },
      { code: "refused", message: "checking the module ended by SIGABRT" },
    ],
    [
      "an app that the dataplane does not take",
      request("b", 8, { vars: { REJECT: "no room" } }),
      { code: "refused", message: "the dataplane refused: no room" },
    ],
    ["a tenant's name", request("b", 8, { tenant: "No_Name" }), { code: "invalid" }],
    ["a module that is too large", { ...request("b", 8), wasm: Buffer.alloc(16 * 1024 * 1024 + 1) }, { code: "limit" }],
    [
      "a new version that is wrong",
      { ...request("a", 7), wasm: Buffer.from("fail") },
      { code: "refused", message: "the module could not be compiled: too many locals" },
    ],
  ])("%s", async (_, wrong, expected) => {
    const client = await start();
    await client.deploy(request("a", 7));
    const before = await client.list();
    expect(await refusal(client.deploy(wrong))).toMatchObject(expected);
    expect(await client.list()).toEqual(before);
  });

  it("checks the manifest again", async () => {
    const client = await start();
    const broken = { ...manifest("a", { tcp: 7 }), secrets: {}, abi: 9 } as unknown as Manifest;
    const { code, problems } = await refusal(client.deploy({ manifest: broken, wasm: Buffer.from("m") }));
    expect(code).toBe("invalid");
    expect(problems.map(({ file, message }) => `${file}: ${message}`)).toEqual([
      'manifest.abi: "abi" must be 1: the contract this weir speaks',
      'manifest.secrets: "secrets" is not there yet',
    ]);
  });

  it("names the grant that is missing", async () => {
    const client = await start({ tenant: [{ name: "acme", listen: ["lan http 80", "lan tcp 7000-7099"] }] });
    expect(await refusal(client.deploy(request("a", 7)))).toMatchObject({
      code: "forbidden",
      message: 'host.toml has no tenant "default"',
      hint: 'add to host.toml: [[tenant]] name = "default", listen = ["lan tcp 7"]',
    });
    expect(await refusal(client.deploy(request("a", 80, { tenant: "acme" })))).toMatchObject({
      message: 'the tenant "acme" may not listen on tcp 80',
      hint: 'add to its listen in host.toml: "lan tcp 80"',
    });
    await client.deploy(request("a", 7099, { tenant: "acme" }));
  });

  it("takes 255 apps and no more", async () => {
    const client = await start();
    const deploys = Array.from({ length: 255 }, (_, index) => async () => {
      await host!.deploy({ ...request(`a${index}`, 1000 + index, { wait: false }), wasm: Buffer.from("same") });
    });
    for (const deploy of deploys) await deploy();
    expect(await refusal(client.deploy(request("b", 7)))).toMatchObject({
      code: "limit",
      message: "255 apps run already",
    });
    await client.remove("a100");
    await client.deploy({ ...request("b", 7), wasm: Buffer.from("same") });
  });
});

describe("the API", () => {
  it("is for its owner only and gone afterwards", async () => {
    const client = await start();
    expect((await stat(host!.socket)).mode & 0o777).toBe(0o600);
    await client.stop();
    await host!.closed;
    expect(await readdir(runDirectory)).toEqual(["dataplane.json", "dataplane.log", "state"]);
    expect((await refusal(client.info())).code).toBe("unavailable");
  });

  it("answers nonsense with an error", async () => {
    const { request: send } = await import("node:http");
    await start();
    const answer = (method: string, path: string, body = ""): Promise<string> =>
      new Promise((resolve, reject) => {
        const headers = { "content-type": "application/json" };
        const outgoing = send({ socketPath: host!.socket, method, path, headers }, (incoming) => {
          let text = `${incoming.statusCode} `;
          incoming.on("data", (data) => {
            text += data;
          });
          incoming.on("end", () => resolve(text));
        });
        outgoing.on("error", reject);
        outgoing.end(body);
      });
    expect(await answer("GET", "/v2")).toContain('404 {"error":{"code":"not_found"');
    expect(await answer("PUT", "/v1/apps/a/b", "{")).toContain('400 {"error":{"code":"invalid"');
    expect(await answer("PUT", "/v1/apps/a/b", "{}")).toContain("the body's manifest must be an object");
    expect(await answer("PUT", "/v1/apps/a/b", '{"manifest":{"name":"b"},"wasm":"%"}')).toContain("must be base64");
    expect(await answer("PUT", "/v1/apps/a/b", '{"manifest":{"name":"c"},"wasm":""}')).toContain('is not \\"b\\"');
    expect(await answer("GET", "/v1/logs?since=x")).toContain("since must be a number");
  });

  it("streams logs until the client goes", async () => {
    const client = await start();
    const ended = new AbortController();
    const lines: LogLine[] = [];
    const reading = (async () => {
      for await (const line of client.logs({ follow: true, app: "echo", signal: ended.signal })) lines.push(line);
    })();
    await sleep(50);
    await client.deploy(request("echo", 7, { vars: { LOG: "3" } }));
    await until(() => lines.length === 4);
    ended.abort();
    await reading;
    expect(lines.map(({ text }) => text)).toEqual(["started", "line 0", "line 1", "line 2"]);
  });

  it("refuses a second host and names the first", async () => {
    await start();
    const socket = host!.socket;
    const options = { config: hostConfigSchema.parse({}), runDirectory, stateDirectory: join(runDirectory, "state") };
    const again = startHost({ ...options, persistent: true, entries: FAKE_ENTRIES });
    expect((await refusal(again)).message).toBe(`weir up (pid ${process.pid}) has ${socket} already`);
    const elsewhere = startHost({
      ...options,
      persistent: true,
      entries: FAKE_ENTRIES,
      socket: join(runDirectory, "other.sock"),
    });
    expect((await refusal(elsewhere)).message).toBe(`another control plane (pid ${process.pid}) has this dataplane`);
    expect(existsSync(join(runDirectory, "other.sock"))).toBe(false);
    expect(await new HostClient(socket).list()).toEqual([]);
  });
});

describe("when the control plane is killed", () => {
  it("a persistent dataplane goes on and is adopted with its apps and logs", async () => {
    const { child, client: first } = await startProcess("persistent");
    await first.deploy(request("echo", 7, { vars: { LOG: "2" } }));
    await first.deploy(request("gone", 8));
    const { pid, startedUs } = (await first.info()).dataplane;
    await kill(child);
    expect(isDataplaneOf(pid, runDirectory)).toBe(true);

    const client = await start();
    expect((await client.info()).dataplane).toMatchObject({ pid, startedUs, restarts: 0 });
    expect((await client.list()).map(({ name, state }) => `${name} ${state}`)).toEqual([
      "echo running",
      "gone running",
    ]);
    await until(async () => (await logTexts(client, { app: "gone" })).length === 1);
    expect(await logTexts(client, { app: "echo" })).toEqual(["started", "line 0", "line 1"]);
    expect(await logTexts(client, { app: "gone" })).toEqual(["started"]);
    await client.remove("gone");
  });

  it("says what differs when host.toml has another port", async () => {
    const { child, client } = await startProcess("persistent");
    const { pid } = (await client.info()).dataplane;
    await kill(child);
    const error = await refusal(start({ port: [{ device: "weir1" }], workers: { batch: 32 } }));
    expect(error.message).toBe(
      `a dataplane (pid ${pid}) runs with another configuration: port device is "weir0", wanted is "weir1"; worker batch is 64, wanted is 32`,
    );
    expect(error.hint).toContain(`kill ${pid}`);
    expect(isDataplaneOf(pid, runDirectory)).toBe(true);
    await start();
  });

  it("a temporary one ends and leaves nothing", async () => {
    const { child, client } = await startProcess("temporary");
    const { pid } = (await client.info()).dataplane;
    await kill(child);
    await until(() => !isDataplaneOf(pid, runDirectory));
    expect(existsSync(runDirectory)).toBe(false);
  });
});

describe("when the dataplane dies", () => {
  it("starts it again with everything on it", async () => {
    const client = await start();
    await client.deploy(request("echo", 7));
    const { pid } = (await client.info()).dataplane;
    process.kill(pid, "SIGKILL");
    await until(async () => {
      const { dataplane } = await client.info();
      return dataplane.pid !== pid && dataplane.state === "running";
    });
    const { dataplane } = await client.info();
    expect(dataplane.restarts).toBe(1);
    expect((await client.list()).map(({ name, state }) => `${name} ${state}`)).toEqual(["echo running"]);
    const texts = await logTexts(client, { app: "" });
    expect(texts.some((text) => text.startsWith("the dataplane is gone"))).toBe(true);
    expect(texts).toContain(`started the dataplane again (pid ${dataplane.pid})`);
    await client.remove("echo");
  });

  it("waits longer each time", async () => {
    const client = await start();
    await client.deploy(request("bomb", 7, { vars: { DIE: "200" }, wait: false }));
    await until(async () => (await client.info()).dataplane.restarts >= 3);
    const attempts = await logTexts(client, { app: "" });
    expect(attempts.filter((text) => text.startsWith("the dataplane is gone")).length).toBeGreaterThanOrEqual(3);
  });

  it("removes an app meanwhile, for good", async () => {
    const client = await start();
    await client.deploy(request("echo", 7));
    const { pid } = (await client.info()).dataplane;
    process.kill(pid, "SIGKILL");
    await until(async () => (await client.info()).dataplane.state === "restarting");
    await client.remove("echo");
    await until(async () => (await client.info()).dataplane.state === "running");
    expect(await client.list()).toEqual([]);
  });
});

describe("starting again", () => {
  it("deploys what was deployed, as far as host.toml still allows it", async () => {
    const first = await start();
    await first.deploy(request("echo", 7));
    await first.deploy(request("web", 80, { tenant: "acme" }));
    await host!.close({ stopDataplane: true });
    const client = await start({ tenant: [{ name: "acme", listen: ["lan tcp 80"], ceilings: { memory_mib: 8 } }] });
    const apps = await client.list();
    expect(apps.map(({ name, state }) => `${name} ${state}`)).toEqual(["echo waiting", "web running"]);
    expect(apps[0]!.problem).toBe('host.toml has no tenant "default"');
    expect(apps[1]!.limits.memory_mib).toBe(8);
  });

  it("rejects with what the dataplane says and leaves no socket", async () => {
    const failed = start({ port: [{ device: "broken0" }] });
    await expect(failed).rejects.toThrow("no such device: broken0");
    expect((await readdir(runDirectory)).filter((name) => name.endsWith(".sock"))).toEqual([]);
  });
});
