/** What ends, and what goes on: the control process, the dataplane, an app's former version. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CLONE, example } from "./support/clone.js";
import { TestHost } from "./support/host.js";
import { peer, SteadyEcho, startPeer } from "./support/peers.js";
import { processTree, until } from "./support/processes.js";
import { temporaryFolder } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const ECHO_PORT = 7;
const CLOCK_PORT = 8_007;
const KEEPER_PORT = 7_200;

interface App {
  readonly tenant: string;
  readonly name: string;
  readonly state: string;
}

/** Pid of the control process itself, as seen from outside. */
function controlPid(host: TestHost): number {
  const entry = processTree(host.control.pid).find(({ command }) => / \S+weir\.js up /.test(command));
  if (entry === undefined) throw new Error("weir up does not run");
  return entry.pid;
}

function dataplanePid(host: TestHost): number {
  const pids = processTree(host.namespace.holder.pid).filter(({ command }) => command.startsWith("weir-dataplane"));
  const under = processTree(host.control.pid).filter(({ command }) => command.startsWith("weir-dataplane"));
  const [entry] = [...pids, ...under];
  if (entry === undefined) throw new Error("no dataplane runs");
  return entry.pid;
}

async function appsOf(host: TestHost): Promise<string[]> {
  return (await host.json<App[]>("ls")).map(({ tenant, name, state }) => `${tenant}/${name} ${state}`).sort();
}

test("kill -9 of the control process: streams go on, and the next weir up adopts the dataplane", async () => {
  const host = await TestHost.start();
  await host.deploy(example("echo"), "acme");
  await host.deploy(example("udp-echo"), "zeta");
  const steady = await SteadyEcho.start(host.namespace, ECHO_PORT);
  await steady.goesOn();
  const before = await statsOf(host);

  process.kill(controlPid(host), "SIGKILL");
  await host.control.end();
  expect((await host.weir("ls")).code).toBe(5);
  await steady.goesOn();
  // New connections are taken, too: nothing but deciding stands still.
  await peer(host.namespace, "stream", { port: ECHO_PORT, bytes: 1_000_000 });

  await host.upAgain();
  const after = await statsOf(host);
  expect(after.dataplane).toMatchObject({ pid: before.dataplane.pid, restarts: 0 });
  expect(await appsOf(host)).toEqual(["acme/echo running", "zeta/udp-echo running"]);
  await steady.goesOn();
  expect((await statsOf(host)).app("echo").counters).toMatchObject({ starts: 1, swaps: 0 });

  await host.deploy(example("clock"), "acme");
  const clock = await peer<{ line: string }>(host.namespace, "line", { port: CLOCK_PORT, text: "" });
  expect(clock.line).toMatch(/^\d+\n/);
  expect((await host.weir("rm", "udp-echo", "--tenant", "zeta")).code).toBe(0);
  expect(await appsOf(host)).toEqual(["acme/clock running", "acme/echo running"]);
  await steady.finish();
});

test("a dataplane that is killed is started again, with its apps", async () => {
  const host = await TestHost.start();
  await host.deploy(example("echo"), "acme");
  await host.deploy(example("clock"), "zeta");
  await peer(host.namespace, "stream", { port: ECHO_PORT, bytes: 100_000 });
  const before = await statsOf(host);

  process.kill(dataplanePid(host), "SIGKILL");
  await until("the next dataplane", async () => {
    const { code, stdout } = await host.weir("stats", "--json");
    return code === 0 && JSON.parse(stdout).dataplane.restarts === 1;
  });
  expect((await statsOf(host)).dataplane.pid).not.toBe(before.dataplane.pid);
  expect(await appsOf(host)).toEqual(["acme/echo running", "zeta/clock running"]);
  await host.waitForPort(ECHO_PORT);
  await peer(host.namespace, "stream", { port: ECHO_PORT, bytes: 100_000 });
  const clock = await peer<{ line: string }>(host.namespace, "line", { port: CLOCK_PORT, text: "" });
  expect(clock.line).toMatch(/^\d+\n/);
});

test("a new version of an app keeps its connections and misses no byte", async () => {
  const host = await TestHost.start();
  await host.deploy(example("echo"));
  const steady = await SteadyEcho.start(host.namespace, ECHO_PORT);
  await steady.goesOn();
  const folder = join(temporaryFolder(), "echo");
  cpSync(example("echo"), folder, { recursive: true });
  const handler = join(folder, "handler.ts");
  writeFileSync(handler, `${readFileSync(handler, "utf8")}\nconsole.log("the next version");\n`);
  await host.deploy(folder);
  await steady.goesOn();
  const { connections, counters } = (await statsOf(host)).app("echo");
  expect({ connections, accepted: counters.connections_accepted }).toEqual({ connections: 4, accepted: 4 });
  expect(counters).toMatchObject({ swaps: 1, starts: 2, traps: 0, violations: 0 });
  await steady.finish();
});

test("bytes that were not given back are seen by the new version", async () => {
  const host = await TestHost.start();
  const folder = join(temporaryFolder(), "keeper");
  cpSync(join(CLONE, "test", "apps", "keeper"), folder, { recursive: true });
  await host.deploy(folder);
  const talk = startPeer(host.namespace, "talk", { port: KEEPER_PORT });
  const heard = () => [...talk.stdout.matchAll(/"data":"(.*)"/g)].map(([, text]) => text).join("");
  await talk.output(/connected/);
  talk.child.stdin?.write("not given back\n");
  await until("the first version's answer", () => heard() === "kept 14\\n");

  const manifest = join(folder, "weir.toml");
  writeFileSync(manifest, readFileSync(manifest, "utf8").replace("handler.ts", "next.ts"));
  await host.deploy(folder);
  await until("the new version's answer", () => heard() === "kept 14\\ninherited not given back\\n");
  talk.child.stdin?.write("and this is new\n");
  await until("the next answer", () => heard().endsWith("inherited and this is new\\n"));
  talk.child.stdin?.end();
  expect((await talk.end()).code).toBe(0);
  const { connections, counters } = (await statsOf(host)).app("keeper");
  expect({ connections, accepted: counters.connections_accepted, swaps: counters.swaps }).toEqual({
    ...{ connections: 0, accepted: 1, swaps: 1 },
  });
});
