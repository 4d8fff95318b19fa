import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { buildApp } from "../build/index.js";
import { readManifest } from "../config/manifest.js";
import { register } from "./init.js";
import { TEMPLATES } from "./shared/templates.js";

let parent = "";

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "weir-init-"));
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(parent, { recursive: true });
});

async function init(...words: string[]): Promise<void> {
  const program = new Command().option("--json");
  register(program);
  await program.parseAsync(["init", ...words], { from: "user" });
}

test.each(Object.keys(TEMPLATES))("the %s template is a valid app that builds", async (template) => {
  vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const folder = join(parent, "my-app");
  await init(folder, "--template", template);
  const manifest = await readManifest(folder);
  expect(manifest.name).toBe("my-app");
  const { wasm, warnings } = await buildApp({ directory: folder, config: manifest });
  expect(Buffer.from(wasm).subarray(0, 4).toString("latin1")).toBe("\0asm");
  expect(warnings).toEqual([]);
  const tsconfig = JSON.parse(await readFile(join(folder, "tsconfig.json"), "utf8")) as { extends: string };
  await expect(readFile(resolve(folder, tsconfig.extends), "utf8")).resolves.toContain("compilerOptions");
});

test("a folder that is not empty is refused with exit code 4", async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const exit = vi.spyOn(process, "exit").mockImplementation((code) => {
    throw new Error(`exit ${code}`);
  });
  vi.spyOn(process.stdout, "write").mockReturnValue(true);
  await init(join(parent, "a"));
  await expect(init(join(parent, "a"))).rejects.toThrow("exit 4");
  expect(exit).toHaveBeenCalledWith(4);
});
