import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BuildError, type BuildMessage, buildApp } from "./index.js";

/** The part of the engine's interface that is used here; the types of Node do not have it. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: {
    Module: {
      new (wasm: Uint8Array): object;
      exports(module: object): { name: string }[];
      imports(module: object): { module: string; name: string }[];
      customSections(module: object, name: string): ArrayBuffer[];
    };
    validate(wasm: Uint8Array): boolean;
  };
};

const guest = fileURLToPath(new URL("../../guest", import.meta.url));
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-build-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const ECHO = `import { Bytes, Connection, listen } from "@weir/guest/tcp";
class Echo extends Connection {
  onData(data: Bytes): void { this.send(data); }
}
listen<Echo>();
`;

/** Writes files into the app's folder. */
const write = (files: Readonly<Record<string, string | Uint8Array>>): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(directory, name, ".."), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
};

const mistakes = async (text: string): Promise<readonly BuildMessage[]> => {
  write({ "bad.ts": text });
  const error = await buildApp({ directory, config: { main: "bad.ts" } }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(BuildError);
  return (error as BuildError).messages;
};

describe("a folder anywhere, without node_modules", { timeout: 60_000 }, () => {
  test("is built with the host's SDK", async () => {
    write({ "weir.toml": 'name = "x"\nmain = "handler.ts"\nabi = 1\n', "handler.ts": ECHO });
    const app = await buildApp({ directory });
    const module = new WebAssembly.Module(app.wasm);
    expect(
      WebAssembly.Module.exports(module)
        .map((e) => e.name)
        .sort(),
    ).toEqual(["memory", "weir_abi", "weir_poll", "weir_start"]);
    for (const { module: from, name } of WebAssembly.Module.imports(module))
      expect(["env.abort", "weir.log"]).toContain(`${from}.${name}`);
    expect(app.watched).toContain(join(directory, "handler.ts"));
    expect(app.watched).toContain(join(guest, "tcp.ts"));
    expect(app.warnings).toEqual([]);
    const map = JSON.parse(app.sourceMap) as { sources: string[]; sourcesContent: string[] };
    expect(map.sourcesContent[map.sources.indexOf("handler.ts")]).toBe(ECHO);
    expect(WebAssembly.Module.customSections(module, "name").length).toBe(1);
  });

  test("debug builds are built as well", async () => {
    const app = await buildApp({ directory, config: { main: "handler.ts" }, debug: true });
    expect(WebAssembly.validate(app.wasm)).toBe(true);
  });

  test("other packages come from its node_modules", async () => {
    write({
      "node_modules/plus/index.ts": "export function plus(a: i32, b: i32): i32 { return a + b; }",
      "uses.ts": `import { plus } from "plus";\nimport "./handler";\nconsole.log(plus(1, 2).toString());`,
    });
    const app = await buildApp({ directory, config: { main: "uses.ts" } });
    expect(app.watched).toContain(join(directory, "node_modules/plus/index.ts"));
  });

  test("a module is taken as it is", async () => {
    write({ "m.wasm": Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0) });
    const app = await buildApp({ directory, config: { main: "m.wasm" } });
    expect(app.wasm.length).toBe(8);
    expect(app.watched).toEqual([join(directory, "m.wasm")]);
  });
});

describe("mistakes have a place and a hint", { timeout: 60_000 }, () => {
  test("a type", async () => {
    expect(await mistakes(`import { listen } from "@weir/guest/tcp";\nconst x: i32 = "a";\n`)).toMatchObject([
      { file: join(directory, "bad.ts"), line: 2, column: 16 },
    ]);
  });

  test("a closure", async () => {
    const [first] = await mistakes("export function f(n: i32): () => i32 { return () => n; }\nf(1);");
    expect(first).toMatchObject({ line: 1 });
    expect(first?.hint).toMatch(/closures/);
  });

  test("an unknown part of the SDK", async () => {
    const [first] = await mistakes(`import { x } from "@weir/guest/nothing";\nx();`);
    expect(first?.hint).toMatch(/@weir\/guest\/tcp/);
  });

  test("syntax", async () => {
    expect((await mistakes("class {\n"))[0]).toMatchObject({ line: 1 });
  });

  test("a second copy of the SDK", async () => {
    const [first] = await mistakes(`import { listen } from "${relative(directory, join(guest, "tcp"))}";\n`);
    expect(first?.hint).toMatch(/second copy/);
  });

  test("no main, no file, neither kind", async () => {
    const message = async (main: string): Promise<string> =>
      (await buildApp({ directory, config: { main } }).catch((e: BuildError) => e.messages[0]?.message)) as string;
    expect(await message("gone.ts")).toMatch(/no such file/);
    expect(await message("x.js")).toMatch(/neither/);
    write({ "sub/weir.toml": 'name = "x"\n' });
    await expect(buildApp({ directory: join(directory, "sub") })).rejects.toThrow(/main is missing/);
    cpSync(join(directory, "sub/weir.toml"), join(directory, "sub2/weir.toml"));
    write({ "sub2/weir.toml": "name = \n" });
    await expect(buildApp({ directory: join(directory, "sub2") })).rejects.toThrow(/weir\.toml:\d/);
  });
});
