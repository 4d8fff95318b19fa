import { beforeAll, describe, expect, it } from "vitest";
import { describePlaces, Symbols, shortName } from "./symbols.js";

/** What is used of WebAssembly here; Node's types have no more of it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: Record<string, unknown> };
};

/** The compiler's command line. Its own types bring AssemblyScript's globals into the whole project. */
interface Asc {
  main(
    words: readonly string[],
    files: {
      readFile(name: string): string | null;
      writeFile(name: string, content: string | Uint8Array): void;
      listFiles(): readonly string[];
    },
  ): Promise<{ error: Error | null; stderr: { toString(): string } }>;
}

const SOURCE = `
export class Echo {
  onData(size: i32): i32 {
    if (size > 3) {
      unreachable();
    }
    return size + 1;
  }
}
export function poll(size: i32): i32 {
  return new Echo().onData(size);
}
`;

describe("shortName", () => {
  it.each([
    ["handler/Echo#onData", "Echo#onData"],
    ["~lib/@weir/guest/tcp/listen<handler/Echo>~anonymous|0", "listen<Echo>~anonymous|0"],
    ["~lib/rt/itcms/Object#get:color", "Object#get:color"],
    ["weir_poll", "weir_poll"],
    ["", ""],
  ])("%s", (name, short) => expect(shortName(name)).toBe(short));
});

describe("places of a real module", () => {
  let wasm: Uint8Array;
  let sourceMap: string;
  let trapOffset: number;
  let trapFunction: string;

  beforeAll(async () => {
    const files = new Map<string, string | Uint8Array>([["handler.ts", SOURCE]]);
    const specifier: string = "assemblyscript/asc";
    const { default: asc } = (await import(specifier)) as { default: Asc };
    const { error, stderr } = await asc.main(
      ["handler.ts", "--outFile", "out.wasm", "--sourceMap", "--runtime", "stub", "--debug"],
      {
        readFile: (name) => (files.get(name) as string | undefined) ?? null,
        writeFile: (name, content) => {
          files.set(name, content);
        },
        listFiles: () => [],
      },
    );
    expect(error, stderr.toString()).toBeNull();
    wasm = files.get("out.wasm") as Uint8Array;
    sourceMap = files.get("out.wasm.map") as string;
    // Node runs the module and tells the offset at which it traps.
    const module = new WebAssembly.Module(wasm);
    const instance = new WebAssembly.Instance(module, { env: { abort() {} } });
    try {
      (instance.exports.poll as (size: number) => number)(5);
    } catch (trap) {
      const frame = /at (\S+) \(wasm:\/\/[^)]*:0x([0-9a-f]+)\)/.exec((trap as Error).stack!)!;
      trapFunction = frame[1]!.replace(/^\w+\.(?=handler)/, "");
      trapOffset = Number.parseInt(frame[2]!, 16);
    }
  }, 60_000);

  it("maps a trap to file and line of AssemblyScript", () => {
    const symbols = new Symbols(new Uint32Array(0), sourceMap);
    const place = symbols.place({ functionIndex: 1, functionName: trapFunction, moduleOffset: trapOffset });
    expect(place).toMatchObject({ function: "Echo#onData", file: "handler.ts", line: 5 });
    expect(describePlaces([place])).toBe("handler.ts:5 in Echo#onData");
  });

  it("maps through the offsets of the rewritten module", () => {
    // As if the rewrite had put 40 bytes before the trapping function and 6 more right before the trap.
    const offsets = new Uint32Array([0, 0, 50, 10, trapOffset + 46, trapOffset]);
    const symbols = new Symbols(offsets, sourceMap);
    const place = symbols.place({ functionIndex: 1, functionName: trapFunction, moduleOffset: trapOffset + 46 });
    expect(place.line).toBe(5);
  });

  it("says the function when there is no map, or a broken one", () => {
    for (const map of ["", "{", '{"version":3}']) {
      const place = new Symbols(new Uint32Array(0), map).place({
        functionIndex: 1,
        functionName: "handler/Echo#onData",
        moduleOffset: trapOffset,
      });
      expect(place).toEqual({ function: "Echo#onData", file: "", line: 0, column: 0 });
      expect(describePlaces([place])).toBe("in Echo#onData");
    }
  });
});

it("finds the pair at or before an offset", () => {
  const symbols = new Symbols(new Uint32Array([10, 10, 20, 15, 40, 30]), "");
  expect([5, 10, 14, 20, 25, 40, 50].map((offset) => symbols.originalOffset(offset))).toEqual([
    5, 10, 14, 15, 20, 30, 40,
  ]);
});

it("prefers the app's own place to those in libraries", () => {
  const place = (file: string, line: number) => ({ function: "f", file, line, column: 1 });
  const library = [place("~lib/array.ts", 3), place("~lib/@weir/guest/tcp.ts", 4)];
  expect(describePlaces([...library, place("handler.ts", 12)])).toBe("handler.ts:12 in f");
  expect(describePlaces(library)).toBe("~lib/array.ts:3 in f");
  expect(describePlaces([])).toBe("");
});
