/** The memcached example beside the real one, and memcached's own tools against it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CLONE, example } from "./support/clone.js";
import { expectNothingHeld } from "./support/health.js";
import { TestHost, WEIR_ADDRESS } from "./support/host.js";
import { signalInside } from "./support/peers.js";
import { until } from "./support/processes.js";
import { atEnd, shared, temporaryFolder } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const PORT = 11211;
const REAL_ADDRESS = "127.0.0.1";
const COMPARE = join(CLONE, "test", "support", "memcached-compare.js");
const BATCHES = 100;
/** Of one run of memcaslap: a multiple of its connections, which share them. */
const MESSAGES = 64_000;

const running = shared(async () => {
  const host = await TestHost.start();
  await host.deploy(example("memcached"));
  return host;
});

/** What memcaslap sends: keys of 16 to 64 bytes, mostly small values with some of 10 KB, a tenth of all set. */
function loadFile(): string {
  const file = join(temporaryFolder(), "load.cnf");
  writeFileSync(file, "key\n16 64 1\nvalue\n16 1024 0.98\n9000 10000 0.02\ncmd\n0 0.1\n1 0.9\n");
  return file;
}

/** A new instance of the app and a new real one: both count their unique numbers from 1. */
async function beginAnew(): Promise<void> {
  const { namespace } = running();
  await running().json("rm", "memcached");
  await running().deploy(example("memcached"));
  const real = namespace.start(["memcached", "-u", "nobody", "-l", REAL_ADDRESS, "-p", String(PORT), "-m", "64"]);
  atEnd(async () => {
    signalInside(real, "SIGTERM");
    await real.end();
  });
  const accepts = async () => (await namespace.execute(["nc", "-z", REAL_ADDRESS, String(PORT)])).code === 0;
  await until("memcached", accepts);
}

const SCRIPTS = [
  { protocol: "text", seed: 1 },
  { protocol: "binary", seed: 2 },
];

test.each(SCRIPTS)(
  "whatever is asked, the answers are memcached's: $protocol protocol, seed $seed",
  async ({ protocol, seed }) => {
    await beginAnew();
    const servers = [WEIR_ADDRESS, REAL_ADDRESS].map((host) => ({ host, port: PORT }));
    const parameters = JSON.stringify({ protocol, seed, batches: BATCHES, servers });
    const output = await running().namespace.mustExecute([process.execPath, COMPARE, parameters], {
      timeoutMs: 150_000,
    });
    expect((JSON.parse(output) as { answeredBytes: number }).answeredBytes).toBeGreaterThan(100_000);
    expect((await statsOf(running())).app("memcached").failures).toBe(0);
    await expectNothingHeld(running());
  },
);

test.each([["text"], ["binary", "-B"]])("memcaslap finds no error: %s protocol", async (_protocol, ...options) => {
  await running().json("rm", "memcached");
  await running().deploy(example("memcached"));
  // A tenth are set and the others asked for; every value that is asked for is compared with what was set.
  const load = ["-T", "2", "-c", "32", "-x", String(MESSAGES), "-v", "1.0", "-F", loadFile()];
  const command = ["memcaslap", "-s", `${WEIR_ADDRESS}:${PORT}`, ...load, ...options];
  const report = await running().namespace.mustExecute(command, { timeoutMs: 150_000 });
  const figure = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, "m").exec(report)?.[1] ?? Number.NaN);
  expect(figure("cmd_get") + figure("cmd_set")).toBeGreaterThanOrEqual(MESSAGES);
  expect(figure("get_misses")).toBe(0);
  expect(figure("verify_misses")).toBe(0);
  expect(figure("verify_failed")).toBe(0);
  await expectNothingHeld(running());
});

test("memccapable finds every test of both protocols passed", async () => {
  const { stdout, stderr } = await running().execute(["memccapable", "-h", WEIR_ADDRESS, "-p", String(PORT)]);
  expect(stderr).toBe("");
  expect(stdout.split("\n").filter((line) => !/\[pass\]$/.test(line))).toEqual(["All tests passed", ""]);
  expect(stdout.match(/\[pass\]$/gm)?.length).toBeGreaterThan(50);
});
