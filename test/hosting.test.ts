/** The hosting verbs against a running `weir up`. */
import { expect, test } from "vitest";
import { example } from "./support/clone.js";
import { TestHost, WEIR_ADDRESS } from "./support/host.js";
import { startPeer } from "./support/peers.js";
import { execute, mustExecute, testEnvironment, until, weirCommand } from "./support/processes.js";
import { start, temporaryFolder } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

interface App {
  readonly tenant: string;
  readonly name: string;
  readonly state: string;
}

interface Stats {
  readonly worker: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly drops: Readonly<Record<string, number>>;
  readonly batches: { readonly count: number };
  readonly stages: readonly { readonly name: string }[];
  readonly apps: readonly { readonly name: string; readonly failures: number }[];
}

test("three apps of two tenants: deploy, ls, serve, logs, stats, rm", async () => {
  const host = await TestHost.start();
  await host.deploy(example("hello"), "acme");
  await host.deploy(example("echo"), "acme");
  await host.deploy(example("clock"), "zeta");

  const apps = await host.json<App[]>("ls");
  const names = apps.map(({ tenant, name, state }) => `${tenant}/${name} ${state}`).sort();
  expect(names).toEqual(["acme/echo running", "acme/hello running", "zeta/clock running"]);

  const curl = await host.execute(["curl", "-sS", "--max-time", "10", `http://${WEIR_ADDRESS}/users/7`]);
  expect(JSON.parse(curl.stdout)).toMatchObject({ id: "7" });
  const echoed = await host.execute(["nc", "-N", "-w", "10", WEIR_ADDRESS, "7"], { input: "good morning\n" });
  expect(echoed.stdout).toBe("good morning\n");

  const stats = await host.json<Stats>("stats");
  expect(stats.worker.port?.rx_frames).toBeGreaterThan(0);
  expect(stats.batches.count).toBeGreaterThan(0);
  expect(Object.keys(stats.drops)).toContain("drop_tcp_no_port");
  expect(stats.stages.map((stage) => stage.name)).toEqual(expect.arrayContaining(["rx", "net", "guest", "tx"]));
  expect(stats.apps.map((app) => app.failures)).toEqual([0, 0, 0]);

  expect((await host.weir("rm", "clock", "--tenant", "zeta")).code).toBe(0);
  expect((await host.weir("rm", "clock", "--tenant", "zeta")).code).toBe(3);
  expect(await host.json<App[]>("ls")).toHaveLength(2);
  const refused = await host.execute(["nc", "-z", "-w", "5", WEIR_ADDRESS, "8007"]);
  expect(refused.code).not.toBe(0);
});

test("what host.toml says about TCP and IP holds", async () => {
  const host = await TestHost.start({ tables: "[tcp]\nhop_limit = 9\nkeep_alive_s = 1\n" });
  await host.deploy(example("echo"));
  const { stdout } = await host.execute(["ping", "-n", "-c", "1", "-W", "10", WEIR_ADDRESS]);
  expect(stdout).toContain("ttl=9 ");
  const client = startPeer(host.namespace, "talk", { port: 7 });
  await client.output(/connected/);
  await until("a keep-alive probe", async () => (await statsOf(host)).counter("tcp_keep_alives") > 0);
});

test("logs of an app are followed", async () => {
  const host = await TestHost.start();
  const folder = `${temporaryFolder()}/talker`;
  await mustExecute(weirCommand("init", folder), { env: testEnvironment() });
  const follower = start(weirCommand("logs", "-f", "--json", "--socket", host.socket), { env: testEnvironment() });
  await host.deploy(folder);
  // An instance starts with its first connection.
  await host.execute(["curl", "-sS", "--max-time", "10", `http://${WEIR_ADDRESS}/`]);
  await until("the start in the log", () => follower.stdout.includes('"talker"'));
});

test("without a host a verb ends with 5 and says how to start one", async () => {
  const { code, stderr } = await execute(weirCommand("ls", "--socket", "/nowhere/api.sock"), {
    env: testEnvironment(),
  });
  expect(stderr).toContain("No host answers on /nowhere/api.sock");
  expect(code).toBe(5);
});

test("a mistake on the command line ends with 2, also as JSON", async () => {
  const { code, stdout } = await execute(weirCommand("lss", "--json"), { env: testEnvironment() });
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "usage" } });
  expect(code).toBe(2);
});

test("kill -9 of the control process leaves the dataplane, and the next weir up adopts it", async () => {
  const host = await TestHost.start();
  await host.deploy(example("echo"));
  const dataplane = async () => (await host.json<{ dataplane: { startedUs: number } }>("stats")).dataplane.startedUs;
  const before = await dataplane();
  await host.endControl("SIGKILL");
  const echoed = await host.execute(["nc", "-N", "-w", "10", WEIR_ADDRESS, "7"], { input: "still here\n" });
  expect(echoed.stdout).toBe("still here\n");
  await host.upAgain();
  expect(await dataplane()).toBe(before);
  expect((await host.json<App[]>("ls")).map((app) => `${app.name} ${app.state}`)).toEqual(["echo running"]);
});
