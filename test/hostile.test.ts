/** Two tenants on one network port: whatever the apps of one do, the other's echo never misses a byte. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type LoadedApp, loadApp } from "../runtime/cli/hosting.js";
import { HostClient } from "../runtime/control/client.js";
import { CLONE, example } from "./support/clone.js";
import { TestHost, type TestNamespace } from "./support/host.js";
import { peer, SteadyEcho } from "./support/peers.js";
import { until } from "./support/processes.js";
import { shared, temporaryFolder } from "./support/scope.js";
import { logsOf, statsOf } from "./support/stats.js";
import { dataAt, moduleOf, name, unsigned } from "./support/wasm.js";

const ECHO_PORT = 7;
const HOSTILE_PORT = 7_100;
const HOSTILE_APP = join(CLONE, "test", "apps", "hostile");
const TENANTS = `
[[tenant]]
name = "good"
listen = ["lan tcp ${ECHO_PORT}"]
[[tenant]]
name = "mallory"
listen = ["lan tcp ${HOSTILE_PORT}-${HOSTILE_PORT + 9}"]
`;
const FORGED_KINDS = ["abort", "close", "recv_done", "send", "accept", "forward"];

interface Scene {
  readonly host: TestHost;
  readonly api: HostClient;
  readonly steady: SteadyEcho;
  readonly hostile: LoadedApp;
  readonly dataplanePid: number;
}

const scene = shared(async (): Promise<Scene> => {
  const host = await TestHost.start({ tables: TENANTS });
  const api = new HostClient(host.socket);
  const { manifest, wasm, sourceMap } = await loadApp(example("echo"));
  await api.deploy({ manifest, wasm, sourceMap, tenant: "good" });
  const hostile = await loadApp(HOSTILE_APP);
  const steady = await SteadyEcho.start(host.namespace, ECHO_PORT);
  await steady.goesOn();
  return { host, api, steady, hostile, dataplanePid: (await statsOf(host)).dataplane.pid };
});

/** The good tenant has noticed nothing. */
async function expectUndisturbed(): Promise<void> {
  const { host, steady, dataplanePid } = scene();
  await steady.goesOn();
  const stats = await statsOf(host);
  expect(stats.dataplane).toMatchObject({ pid: dataplanePid, restarts: 0 });
  const { connections, failures, counters } = stats.app("echo");
  const { starts, traps, overruns, violations, poisonings, dropped_window_full } = counters;
  expect({ connections, failures, starts, traps, overruns, violations, poisonings, dropped_window_full }).toEqual({
    ...{ connections: 4, failures: 0, starts: 1, traps: 0, overruns: 0, violations: 0, poisonings: 0 },
    dropped_window_full: 0,
  });
}

function say(namespace: TestNamespace, text: string): Promise<{ line: string | null }> {
  return peer(namespace, "line", { port: HOSTILE_PORT, text });
}

/** Deploys the hostile app anew (which forgets its failures), attacks, and returns the counters' growth. */
async function attack(name: string): Promise<{ line: string | null; grown: (counter: string) => number }> {
  const { host, api, hostile } = scene();
  // Its instance starts with the first connection, so there is nothing to wait for.
  await api.deploy({ ...hostile, tenant: "mallory", wait: false });
  const before = (await statsOf(host)).app("hostile").counters;
  const { line } = await say(host.namespace, name);
  const after = (await statsOf(host)).app("hostile").counters;
  return { line, grown: (counter) => after[counter]! - before[counter]! };
}

/** The app's place in its source where `text` stands. */
function placeOf(text: string): string {
  const lines = readFileSync(join(HOSTILE_APP, "handler.ts"), "utf8").split("\n");
  return `handler.ts:${lines.findIndex((line) => line.includes(text)) + 1}`;
}

const ENDINGS = ["traps", "overruns", "violations", "poisonings"] as const;

test.each([
  ["trap", "traps"],
  ["throw", "traps"],
  ["recurse", "traps"],
  ["spin", "overruns"],
  ["fill", "overruns"],
  ["store to received", "traps"],
  ["store to events", "traps"],
  ["store to info", "traps"],
  ["store to null", "traps"],
  ["load from hole", "traps"],
  ["copy to received", "traps"],
  ["copy across", "traps"],
  ["copy from null", "traps"],
  ["fill received", "traps"],
  ["fill beyond", "traps"],
  ["flood beyond", "violations"],
] as const)("an app's %s ends its own instance alone", async (what, ending) => {
  const { line, grown } = await attack(what);
  expect(line).toBe(null);
  expect(Object.fromEntries(ENDINGS.map((each) => [each, grown(each)]))).toEqual(
    Object.fromEntries(ENDINGS.map((each) => [each, each === ending ? 1 : 0])),
  );
  await expectUndisturbed();
  // It starts again for the next connection.
  const { host } = scene();
  await until("the next instance", async () => (await say(host.namespace, "hello")).line === "hello\n");
});

test("a throw is logged with its text, file and line", async () => {
  const { host } = scene();
  await attack("throw");
  const place = placeOf("thrown on purpose");
  const found = await until("the throw in the log", async () =>
    (await logsOf(host, "hostile", "mallory")).findLast(
      ({ kind, text }) => kind === "trapped" && text.includes("thrown on purpose"),
    ),
  );
  expect(found.text).toContain("thrown on purpose");
  expect(found.text).toContain(place);
});

test.each(FORGED_KINDS.map((kind, index) => [kind, index] as const))(
  "forged handles in %s are refused, and the instance goes on",
  async (_, index) => {
    const { line, grown } = await attack(`forge ${index}`);
    expect(line).toBe("done\n");
    expect(grown("refused_foreign_handle")).toBeGreaterThan(0);
    for (const ending of ENDINGS) expect(grown(ending)).toBe(0);
    await expectUndisturbed();
  },
);

test("a flood of sends ends the connection that it is sent on", async () => {
  const { line, grown } = await attack("flood");
  expect(line === null || !line.includes("done")).toBe(true);
  expect(grown("refused_limit") + grown("refused_stale_handle") + grown("refused_bad_range")).toBeGreaterThan(0);
  await expectUndisturbed();
});

test("commands of random bytes are refused", async () => {
  const { line, grown } = await attack("garbage");
  expect(line).toBe("done\n");
  expect(grown("refused_bad_kind")).toBeGreaterThan(1_000);
  await expectUndisturbed();
});

test("a flood of log lines is cut", async () => {
  const { grown } = await attack("log");
  // By the allowance of lines, or on a slow machine before that by the time that a call may take.
  expect(grown("log_lines")).toBeLessThanOrEqual(200);
  expect(grown("log_lines_dropped") + grown("overruns")).toBeGreaterThan(0);
  await expectUndisturbed();
});

/** Puts a module into the folder of an app. */
function folderWith(module: Uint8Array, port = HOSTILE_PORT + 1): string {
  const folder = join(temporaryFolder(), "made-by-hand");
  mkdirSync(folder);
  const manifest = `name = "made-by-hand"\nmain = "handler.wasm"\n[[listen]]\ntcp = ${port}\n[limits]\nmemory_mib = 1\n`;
  writeFileSync(join(folder, "weir.toml"), manifest);
  writeFileSync(join(folder, "handler.wasm"), module);
  return folder;
}

const FOREVER = [0x03, 0x40, 0x0c, 0x00, 0x0b];

test.each([
  ["consumes more than there is", { poll: [0x42, ...unsigned(0x7fffffff)] }, "violations"],
  ["spins in weir_start", { start: FOREVER }, "overruns"],
  ["spins in weir_poll", { poll: [...FOREVER, 0x42, 0x00] }, "overruns"],
] as const)("a module that %s ends its own instance alone", async (_, parts, ending) => {
  const { host } = scene();
  await host.json("deploy", folderWith(moduleOf(parts)), "--tenant", "mallory");
  await peer(host.namespace, "line", { port: HOSTILE_PORT + 1, text: "hello" }).catch(() => {});
  const counters = async () => (await statsOf(host)).app("made-by-hand").counters;
  await until(`its end by ${ending}`, async () => (await counters())[ending]! > 0);
  await expectUndisturbed();
  await host.weir("rm", "made-by-hand", "--tenant", "mallory");
});

describe("a module is refused that", () => {
  const fdWrite = [...name("wasi_snapshot_preview1"), ...name("fd_write"), 0x00, 0];
  const component = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00]);
  const cases: readonly (readonly [string, Buffer, string])[] = [
    ["declares a subtype", moduleOf({ types: [[0x50, 0, 0x60, 0, 0]] }), "feature-gc"],
    ["imports the unknown", moduleOf({ imports: [fdWrite] }), "import-unknown"],
    ["puts data into the window", moduleOf({ data: [dataAt(0x0021_0000, "mine")] }), "data-below-base"],
    ["has a too large table", moduleOf({ tables: [[0x70, 0x00, ...unsigned(1_000_000)]] }), "limit-table-elements"],
    ["has a too large memory", moduleOf({ memory: [0x00, ...unsigned(4_000)] }), "memory-limit"],
    ["shares its memory", moduleOf({ memory: [0x03, ...unsigned(336), ...unsigned(336)] }), "feature-threads"],
    ["is a component", component, "component"],
    ["is text", Buffer.from("(module)"), "not-wasm"],
    ["ends in the middle", moduleOf().subarray(0, 60), "invalid"],
  ];
  test.each(cases)("%s", async (_, module, rule) => {
    const { host } = scene();
    const { code, stdout } = await host.weir("deploy", folderWith(module), "--tenant", "mallory", "--json");
    const { error } = JSON.parse(stdout) as { error: { code: string; problems: { message: string; hint: string }[] } };
    expect(code).toBe(4);
    expect(error.code).toBe("refused");
    const problem = error.problems.find(({ message }) => message.includes(rule));
    expect(problem, JSON.stringify(error)).toBeDefined();
    expect(problem!.hint).not.toBe("");
    await expectUndisturbed();
  });
});

test("after all that the good tenant's echo ends without a wrong byte", async () => {
  const { host, steady } = scene();
  await expectUndisturbed();
  await steady.finish();
  expect((await host.json<{ name: string }[]>("ls")).map((app) => app.name).sort()).toEqual(["echo", "hostile"]);
});
