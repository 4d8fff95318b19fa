/** The playground as a whole: its own proofs, and that nothing is left of it however it ends. */
import { expect, test } from "vitest";
import { CLONE, requireBuild } from "./support/clone.js";
import { expectNothingLeft, pointersIn, startPlayground } from "./support/playground.js";
import { execute, mustExecute, testEnvironment, until, weirCommand } from "./support/processes.js";
import { start, temporaryFolder } from "./support/scope.js";

const CHECK_TIMEOUT_MS = 170_000;
const DEMO = weirCommand("demo", "--http-port", "0");
/** The same through npm, as a user starts it; set-up has nothing to do by then. */
const NPM_START = ["npm", "start", "--", "--http-port", "0"];

test("weir demo --check proves every part and ends with 0", async () => {
  requireBuild();
  const env = testEnvironment({ XDG_RUNTIME_DIR: temporaryFolder() });
  const result = await execute([...DEMO, "--check"], { env, timeoutMs: CHECK_TIMEOUT_MS });
  expect(result.stdout).not.toContain("✗");
  expect(result.stdout).toMatch(/(\d+) of \1 passed/);
  expect(result.code).toBe(0);
});

test.each(["SIGINT", "SIGTERM"] as const)("after %s nothing is left, and the exit code is 0", async (signal) => {
  const { running, footprint } = await startPlayground(DEMO);
  const { code } = await running.stop(signal);
  expect(code).toBe(0);
  await expectNothingLeft(footprint);
  expect(pointersIn(footprint)).toEqual([]);
});

test("after SIGTERM to npm nothing is left", async () => {
  const { running, footprint } = await startPlayground(NPM_START, { cwd: CLONE });
  running.child.kill("SIGTERM");
  await expectNothingLeft(footprint);
});

test("after kill -9 of npm nothing is left", async () => {
  const { running, footprint } = await startPlayground(NPM_START, { cwd: CLONE });
  running.child.kill("SIGKILL");
  await expectNothingLeft(footprint);
});

test("after Ctrl-C at a terminal, which reaches npm and all below it, nothing is left", async () => {
  const { running, footprint } = await startPlayground(NPM_START, { cwd: CLONE, detached: true });
  process.kill(-running.pid, "SIGINT");
  await expectNothingLeft(footprint);
});

test("after kill -9 of the demo nothing is left, and no verb finds it", async () => {
  const { running, footprint, env } = await startPlayground(DEMO);
  running.child.kill("SIGKILL");
  await expectNothingLeft(footprint);
  const { code, stderr } = await execute(weirCommand("ls"), { env });
  expect(stderr).toContain("No host is running");
  expect(code).toBe(5);
  expect(pointersIn(footprint)).toEqual([]);
});

test("after kill -9 of the process inside the demo ends too, and says so", async () => {
  const { running, footprint } = await startPlayground(DEMO);
  const inner = footprint.processes.find((entry) => /^\S+ \S+playground\/inner\.js/.test(entry.command));
  expect(inner).toBeDefined();
  process.kill(inner!.pid, "SIGKILL");
  const { code, stderr } = await running.end();
  expect(stderr).toContain("ended by itself");
  expect(code).toBe(1);
  await expectNothingLeft(footprint);
});

test("a port that is taken is named, with what to do", async () => {
  const { running, url } = await startPlayground(DEMO);
  const env = testEnvironment({ XDG_RUNTIME_DIR: temporaryFolder() });
  const { code, stderr } = await execute(weirCommand("demo", "--http-port", new URL(url).port), { env });
  expect(stderr).toContain("is taken by another program");
  expect(stderr).toContain("--http-port");
  expect(code).toBe(1);
  await running.stop();
});

test("weir exec runs in the playground's network and passes the exit code on", async () => {
  const { env } = await startPlayground(DEMO);
  const addresses = await mustExecute(weirCommand("exec", "--", "ip", "-br", "address", "show", "weir0"), { env });
  expect(addresses).toContain("10.44.0.1/24");
  expect((await execute(weirCommand("exec", "--", "sh", "-c", "exit 7"), { env })).code).toBe(7);
  const dump = start(weirCommand("exec", "--", "tcpdump", "-l", "-n", "-vv", "-i", "weir0", "-c", "4", "icmp"), {
    env,
  });
  await dump.output(/listening on weir0/);
  await mustExecute(weirCommand("exec", "--", "ping", "-c", "2", "10.44.0.2"), { env });
  const { stdout } = await dump.end();
  expect(stdout).toContain("10.44.0.2 > 10.44.0.1: ICMP echo reply");
  expect(stdout).not.toContain("bad cksum");
});

test("the relay carries many requests at once, and the counters follow", async () => {
  const { env, url } = await startPlayground(DEMO);
  const answers = await Promise.all(Array.from({ length: 50 }, async () => (await fetch(`${url}/users/7`)).json()));
  for (const answer of answers) expect(answer).toMatchObject({ id: "7" });
  await until("events in the counters", async () => {
    const stats = JSON.parse(await mustExecute(weirCommand("stats", "--json"), { env })) as {
      worker: { sandbox: { guest_events: number } };
    };
    return stats.worker.sandbox.guest_events >= answers.length;
  });
});
