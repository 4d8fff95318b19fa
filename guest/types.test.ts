import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { patched, writeEditorTypes } from "../runtime/build/editor-types.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What TypeScript says about handlers with the configuration that apps extend. */
async function check(files: readonly string[]): Promise<string> {
  const directory = mkdtempSync(join(root, "guest", "dist", "types-"));
  try {
    const extended = join(root, "guest", "tsconfig.handlers.json");
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ extends: extended, files }));
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    await promisify(execFile)(process.execPath, [tsc, "-p", directory]);
    return "";
  } catch (error) {
    return (error as { stdout: string }).stdout;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

beforeAll(async () => {
  await writeEditorTypes();
});

const handlers = ["echo", "hello", "proxy", "clock", "dns", "udp-echo", "memcached"].map((name) =>
  join(root, "examples", name, "handler.ts"),
);

test("handlers are clean in an editor", { timeout: 60_000 }, async () => {
  expect(await check([...handlers, ...["memory"].map((name) => join(root, "guest", "fixtures", `${name}.ts`))])).toBe(
    "",
  );
});

test("a mistake is found", { timeout: 60_000 }, async () => {
  const file = join(root, "guest", "dist", "mistake.ts");
  writeFileSync(file, `import { app } from "@weir/guest/http";\napp.get("/", c => c.txt("x"));\n`);
  expect(await check([file])).toMatch(/mistake\.ts\(2,\d+\): error TS2551/);
  rmSync(file);
});

test("declarations that changed are noticed", () => {
  expect(() => patched("declare type Other = 1;")).toThrow(/no longer/);
});
