/** `weir test` as a handler's author uses it: outside the clone, as any user, with nothing but the app's own files. */
import { chmodSync, chownSync, cpSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { CLONE, example } from "./support/clone.js";
import { execute, type Result, testEnvironment, weirCommand } from "./support/processes.js";
import { temporaryFolder } from "./support/scope.js";

const TSC = join(CLONE, "node_modules", "typescript", "bin", "tsc");
const TIMEOUT_MS = 120_000;
/** Nobody in particular. */
const USER = 1000;
const isRoot = process.getuid?.() === 0;

let folder: string;
/** For what weir leaves behind, which should be nothing. */
let scratch: string;
/** For builds that it keeps. */
let cache: string;
beforeEach(() => {
  [folder, scratch, cache] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  for (const path of [folder, scratch, cache]) chmodSync(path, 0o777);
});

const run = (command: readonly string[], cwd = folder): Promise<Result> =>
  execute(command, {
    cwd,
    env: testEnvironment({ HOME: scratch, TMPDIR: scratch, XDG_CACHE_HOME: cache }),
    timeoutMs: TIMEOUT_MS,
  });
const weir = (...words: string[]): Promise<Result> => run(weirCommand(...words));

/** The same as somebody without rights. */
function weirAsUser(cwd: string, ...words: string[]): Promise<Result> {
  const become = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--"];
  return run([...(isRoot ? become : []), ...weirCommand(...words)], cwd);
}

test.each(["http", "tcp", "udp"])("the tests of a new %s app pass, and its types are right", async (kind) => {
  expect(await weir("init", "my-app", "--template", kind)).toMatchObject({ code: 0 });
  const { code, stdout } = await weir("test", "my-app", "--json");
  expect(JSON.parse(stdout)).toMatchObject({ passed: 2, failed: 0, problems: [] });
  expect(code).toBe(0);
  for (const config of ["tsconfig.json", "tsconfig.test.json"]) {
    expect(await run([process.execPath, TSC, "-p", join("my-app", config)])).toMatchObject({ code: 0, stdout: "" });
  }
});

test("an example's tests pass without rights and leave nothing behind", async () => {
  const app = join(folder, "clock");
  cpSync(example("clock"), app, { recursive: true });
  const before = readdirSync(app);
  if (isRoot) for (const path of ["", ...before]) chownSync(join(app, path), USER, USER);
  const { code, stdout } = await weirAsUser(app, "test", "--json");
  expect(JSON.parse(stdout)).toMatchObject({ failed: 0, problems: [] });
  expect(code).toBe(0);
  expect(readdirSync(app)).toEqual(before);
  expect(readdirSync(scratch)).toEqual([]);
});

test("a test that fails ends it with 1, and its message says what happened", async () => {
  await weir("init", "my-app", "--template", "tcp");
  const text = `
import { host } from "@weir/host/testing";
import { expect, test } from "vitest";
test("right", () => expect(1).toBe(1));
test("wrong", async () => {
  const weir = await host({ app: import.meta.dirname });
  const connection = await weir.connect();
  await connection.write("hello");
  await connection.read({ until: "bye", withinMs: 100 });
});
`;
  writeFileSync(join(folder, "my-app", "handler.test.ts"), text);
  const { code, stdout } = await weir("test", "my-app", "--json");
  const { passed, failed, tests } = JSON.parse(stdout);
  expect([code, passed, failed]).toEqual([1, 1, 1]);
  expect(tests[1]).toMatchObject({ file: "handler.test.ts", name: "wrong", state: "failed" });
  expect(tests[1].errors[0]).toContain('after 0.1 s of virtual time: "bye" did not come');
  const people = await weir("test", "my-app", "-t", "wrong");
  expect(people.code).toBe(1);
  expect(people.stderr + people.stdout).toMatch(/handler\.test\.ts:9:\d+/);
  expect(people.stdout).toContain("1 skipped");
});

test("what is wrong with an app is said before any test runs, with the exit codes of the other verbs", async () => {
  expect((await weir("test", "nowhere")).code).toBe(3);
  await weir("init", "my-app");
  const app = join(folder, "my-app");
  const none = await weir("test", "my-app", "no-such-file");
  expect(none.code).toBe(3);
  expect(none.stderr).toContain("No tests were found");
  writeFileSync(join(app, "broken.test.ts"), "import './nothing.js';\n");
  const broken = await weir("test", "my-app", "broken", "--json");
  expect(broken.code).toBe(1);
  expect(JSON.parse(broken.stdout).problems[0]).toMatch(/^broken\.test\.ts: .*nothing\.js/);
  writeFileSync(join(app, "handler.ts"), "let x: i32 = nothing;\n");
  const refused = await weir("test", "my-app", "--json");
  expect(refused.code).toBe(4);
  expect(JSON.parse(refused.stdout).error.problems[0]).toMatchObject({ line: 1, column: 14 });
});
