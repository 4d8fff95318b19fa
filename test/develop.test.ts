/** From an empty folder to a served edit: `weir init`, `weir dev`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { expectNothingLeft, startPlayground } from "./support/playground.js";
import { mustExecute, testEnvironment, until, weirCommand } from "./support/processes.js";
import { temporaryFolder } from "./support/scope.js";

/** What the issue of this command promises for an edit; the machine of a test may be busy, so the test waits longer. */
const EDIT_TIMEOUT_MS = 30_000;

async function textOf(url: string): Promise<string | undefined> {
  try {
    return await (await fetch(url)).text();
  } catch {
    return undefined;
  }
}

function edit(file: string, from: string, to: string): void {
  const text = readFileSync(file, "utf8");
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
}

test("init makes an app that dev serves, with every edit, and through mistakes", async () => {
  const folder = join(temporaryFolder(), "newcomer");
  const told = await mustExecute(weirCommand("init", folder), { env: testEnvironment() });
  expect(told).toContain("dev");
  const { running, url, footprint } = await startPlayground(weirCommand("dev", "--http-port", "0"), { cwd: folder });
  expect(await textOf(`${url}/`)).toBe("hello, visitor 1\n");

  const handler = join(folder, "handler.ts");
  edit(handler, "visitor", "edited visitor");
  await until("the edit", async () => (await textOf(`${url}/`))?.startsWith("hello, edited visitor"), EDIT_TIMEOUT_MS);

  edit(handler, "app.get", "app.gett");
  await running.output(/handler\.ts:\d+:\d+/, EDIT_TIMEOUT_MS);
  expect(await textOf(`${url}/`)).toContain("hello, edited visitor");

  edit(handler, "app.gett", "app.get");
  edit(join(folder, "weir.toml"), 'GREETING = "hello"', 'GREETING = "good day"');
  await until("the mended app", async () => (await textOf(`${url}/`))?.startsWith("good day, edited"), EDIT_TIMEOUT_MS);

  await running.stop("SIGINT");
  await expectNothingLeft(footprint);
});

test("what the app logs appears inline", async () => {
  const folder = join(temporaryFolder(), "talker");
  await mustExecute(weirCommand("init", folder), { env: testEnvironment() });
  edit(join(folder, "handler.ts"), "let visits = 0;", 'let visits = 0;\nconsole.log("somebody came");');
  const { running, url } = await startPlayground(weirCommand("dev", folder, "--http-port", "0"));
  await textOf(`${url}/`);
  await running.output(/talker .*somebody came/);
});
