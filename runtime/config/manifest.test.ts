import { describe, expect, it } from "vitest";
import { checkManifest, connectsOf, listensOf, MAX_CONFIG_BYTES, parseManifest } from "./manifest.js";
import { ConfigError, formatProblem } from "./problem.js";

function mistakes(action: () => unknown): string[] {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(formatProblem);
    throw error;
  }
  return [];
}

describe("a right weir.toml", () => {
  it("has its defaults", () => {
    expect(parseManifest('name = "a"')).toEqual({
      name: "a",
      main: "handler.ts",
      abi: 1,
      listen: [],
      connect: [],
      vars: {},
      limits: { memory_mib: 16, connections: 10_000, poll_us: 2_000 },
      build: { watch: [] },
    });
  });

  it("is read with everything that is possible now", () => {
    const manifest = parseManifest(`
name = "hello"
main = "out.wasm"
abi = 1
vars.GREETING = "hello"
[[listen]]
http = 80
[[listen]]
name = "dns"
udp = 80
[[connect]]
to = "10.0.0.2:9000"
[[connect]]
to = "db-1.example.:5432"
[limits]
memory_mib = 32
connections = 10_000
poll_us = 500
[build]
watch = ["src/**"]
`);
    expect(listensOf(manifest)).toEqual([
      { name: "main", protocol: "http", port: 80 },
      { name: "dns", protocol: "udp", port: 80 },
    ]);
    expect(connectsOf(manifest)).toEqual([
      { to: "10.0.0.2:9000", address: "10.0.0.2", port: 9000 },
      { to: "db-1.example.:5432", host: "db-1.example.", port: 5432 },
    ]);
    expect(manifest.vars).toEqual({ GREETING: "hello" });
    expect(manifest.limits).toEqual({ memory_mib: 32, connections: 10_000, poll_us: 500 });
    expect(checkManifest(JSON.parse(JSON.stringify(manifest)))).toEqual(manifest);
  });
});

const NO_ENDPOINT =
  'is not an address or a name with a port (write it like "10.0.0.2:9000", "[fd44::1]:9000" or "db.example:5432")';

/** A broken file and what is said about it; each line of the file that is wrong is mentioned. */
const TABLE: [name: string, text: string, expected: string[]][] = [
  ["a missing name", 'main = "a.ts"', ['weir.toml:1:1: "name" is missing (it must be a string)']],
  ["a misspelled key", 'name = "a"\nmian = "a.ts"', ['weir.toml:2:1: unknown key "mian" (did you mean "main"?)']],
  [
    "a key that resembles nothing",
    'name = "a"\n[build]\nfrobnicate = 1',
    ['weir.toml:3:1: unknown key "frobnicate" (possible here: watch)'],
  ],
  ["no TOML", "name = \n", ["weir.toml:2:1: not valid TOML: Unspecified values are invalid"]],
  [
    "a key twice",
    'name = "a"\nname = "b"',
    ["weir.toml:2:1: not valid TOML: Defining a key multiple times is invalid"],
  ],
  [
    "names and values of wrong types",
    'name = 5\nlisten = 5\nvars = "x"\n[limits]\nmemory_mib = "16"\npoll_us = 1.5e3\nconnections = 2.5',
    [
      'weir.toml:1:8: "name" must be a string, not 5',
      'weir.toml:2:10: "listen" must be an array, not 5',
      'weir.toml:3:8: "vars" must be a table, not "x"',
      'weir.toml:5:14: "memory_mib" must be a number, not "16"',
      'weir.toml:7:15: "connections" must be a whole number, not 2.5',
    ],
  ],
  [
    "values out of range",
    'name = "A"\nmain = "handler.js"\nabi = 2\n[limits]\nconnections = 0\nmemory_mib = 4096',
    [
      'weir.toml:1:8: "name" must be 1 to 63 of a-z, 0-9 and "-", starting with a letter and not ending with "-"',
      'weir.toml:2:8: "main" must end in ".ts" or ".wasm"',
      'weir.toml:3:7: "abi" must be 1: the contract this weir speaks',
      'weir.toml:5:15: "connections" must be at least 1, not 0',
      'weir.toml:6:14: "memory_mib" must be at most 1024, not 4096',
    ],
  ],
  [
    "listens",
    'name = "a"\n[[listen]]\nhttp = 80\ntcp = 7\n[[listen]]\nname = "b"\n[[listen]]\nname = "c"\nudp = 70_000\n[[listen]]\nname = "b"\ntcp = 80',
    [
      "weir.toml:2:3: the entry has http and tcp (make an entry for each)",
      "weir.toml:5:3: the entry has no port (add one of http = 80, tcp = 7, udp = 53)",
      'weir.toml:9:7: "udp" must be at most 65535, not 70000',
      'weir.toml:11:8: a [[listen]] before has the name "b" too',
      "weir.toml:12:7: a [[listen]] before has tcp 80 too",
    ],
  ],
  [
    "connects",
    'name = "a"\n[[connect]]\nto = "-a.example:80"\n[[connect]]\nto = "10.0.0.1"\n[[connect]]\nto = "fd44::1:80"\n[[connect]]\n[[connect]]\nto = "10.0.0.300:1"\n[[connect]]\nto = "1.2.3.4:5"\n[[connect]]\nto = "1.2.3.4:5"',
    [
      `weir.toml:3:6: "-a.example:80" ${NO_ENDPOINT}`,
      `weir.toml:5:6: "10.0.0.1" ${NO_ENDPOINT}`,
      `weir.toml:7:6: "fd44::1:80" ${NO_ENDPOINT}`,
      'weir.toml:8:3: "to" is missing (it must be a string)',
      `weir.toml:10:6: "10.0.0.300:1" ${NO_ENDPOINT}`,
      'weir.toml:14:6: a [[connect]] before has "1.2.3.4:5" too',
    ],
  ],
  [
    "vars",
    'name = "a"\n[vars]\nA = 5\n"a-b" = "x"\n__proto__ = "y"',
    [
      'weir.toml:3:5: "A" must be a string, not 5',
      'weir.toml:4:1: "a-b": must be letters, digits and "_", not starting with a digit',
      'weir.toml:5:1: the key "__proto__" is not possible',
    ],
  ],
  [
    "keys that come later",
    'name = "a"\n[[listen]]\nhttp = 80\nhost = "x"\n[secrets]\nrequired = ["A"]\n[limits]\ncpu_percent = 20\ntx_mbit_s = 100\n[env.staging]\nvars.A = "b"',
    [
      'weir.toml:4:1: "host" is not there yet (the entry takes every host name of its port)',
      'weir.toml:5:2: "secrets" is not there yet (use [vars] for what is not secret)',
      'weir.toml:8:1: "cpu_percent" is not there yet (poll_us bounds the time of one call)',
      'weir.toml:9:1: "tx_mbit_s" is not there yet (remove the line)',
      'weir.toml:10:2: "env" is not there yet (keep one weir.toml for each environment)',
    ],
  ],
];

describe("a wrong weir.toml", () => {
  it.each(TABLE)("says everything about %s", (_, text, expected) => {
    expect(mistakes(() => parseManifest(text))).toEqual(expected);
  });

  it("is refused when vars do not fit the info block", () => {
    const text = `name = "a"\n[vars]\nA = "${"x".repeat(MAX_CONFIG_BYTES)}"`;
    expect(mistakes(() => parseManifest(text))).toEqual([
      `weir.toml:2:2: names and values take 61465 bytes; at most 61440 are possible (build large data into the handler)`,
    ]);
  });

  it("is refused when tables stand where texts should be", () => {
    expect(mistakes(() => parseManifest('name = "a"\n[[vars]]\n[[listen]]\nhttp = 80\nname = {}\n'))).toEqual([
      'weir.toml:2:3: "vars" must be a table, not an array',
      'weir.toml:5:8: "name" must be a string, not a table',
    ]);
    expect(mistakes(() => parseManifest('name = "a"\nvars.A = {}\n[[connect]]\nto.a = 1\n'))).toEqual([
      'weir.toml:2:10: "A" must be a string, not a table',
      'weir.toml:4:1: "to" must be a string, not a table',
    ]);
  });

  it.each([
    ["arrays", `name = "a"\nx = ${"[".repeat(4_000)}${"]".repeat(4_000)}`],
    ["tables", `name = "a"\nx = ${"{a=".repeat(4_000)}1${"}".repeat(4_000)}`],
    ["keys", `name = "a"\n${"a.".repeat(4_000)}b = 1`],
    ["headers", `name = "a"\n[${"a.".repeat(4_000)}b]`],
  ])("is refused when %s are nested deeply", (_, text) => {
    expect(mistakes(() => parseManifest(text)).join("\n")).toMatch(/^weir\.toml:[12]:\d+: nested more than 16 deep$/m);
  });

  it("is refused when it is long", () => {
    expect(mistakes(() => parseManifest("#".repeat((1 << 20) + 1)))).toEqual([
      "weir.toml:1:1: longer than 1048576 characters",
    ]);
  });

  it("leaves the prototype of objects alone", () => {
    mistakes(() => parseManifest("__proto__.polluted = 1\n[constructor.prototype]\nx = 1"));
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("is refused as JSON with paths in place of lines", () => {
    expect(mistakes(() => checkManifest({ name: "a", listen: [{ http: "x" }], secrets: {} }))).toEqual([
      'manifest.listen.0.http: "http" must be a number, not "x"',
      'manifest.secrets: "secrets" is not there yet (use [vars] for what is not secret)',
    ]);
  });
});
