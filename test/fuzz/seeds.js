/** What the targets in JavaScript and the one for modules begin with: inputs, and words that inputs are made of. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../runtime/setup/paths.js";

const EXAMPLES = join(ROOT, "examples");

const examples = () => readdirSync(EXAMPLES, { withFileTypes: true }).filter((entry) => entry.isDirectory());

/** Every module has these parts; what it is about stands beside them. */
const module = (parts) => `(module (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (memory $memory 321) (export "memory" (memory $memory))
  (global $abi i32 (i32.const 1)) (export "weir_abi" (global $abi))
  (func $weir_start (export "weir_start"))
  (func $weir_poll (export "weir_poll") (param i32) (result i64) (i64.const 0)) ${parts})`;

const MODULES = {
  plain: "",
  bulk: `(data (i32.const 20971520) "some data") (data "passive") (data "more")
    (func $bulk (memory.copy (i32.const 20971520) (i32.const 20971524) (i32.const 2))
      (memory.fill (i32.const 20971520) (i32.const 0) (i32.const 3))
      (memory.init 1 (i32.const 20971520) (i32.const 0) (i32.const 1))
      (memory.init 2 (i32.const 20971520) (i32.const 0) (i32.const 1)) (data.drop 1))`,
  table: `(type $none (func)) (table 3 9 funcref) (elem (i32.const 0) $weir_start $loop)
    (global $counter (mut i32) (i32.const 0))
    (func $loop (param i32) (result i32) (local i64 v128)
      (block $out (loop $again (br_if $out (local.get 0)) (br $again)))
      (if (result i32) (i32.load offset=4 (local.get 0))
        (then (i32.const 1)) (else (i32.extend8_s (local.get 0)))))
    (func $indirect (call_indirect (type $none) (i32.const 0))
      (block $a (block $b (br_table $a $b $a (i32.const 1)))))`,
  simd: `(func $add (param v128) (result v128) (i8x16.add (local.get 0) (v128.const i64x2 1 2)))
    (func $convert (param f64) (result i64) (i64.trunc_sat_f64_s (local.get 0)))`,
  wrong: `(start $weir_start) (data (i32.const 256) "window") (func $grow (drop (memory.grow (i32.const 1))))`,
};

/** A real module; the others are like it, and long ones are slow. */
const MODULE_EXAMPLE = "udp-echo";

/** Modules that use everything that one may, and what the compiler makes. */
async function modules() {
  const { default: binaryen } = await import("binaryen");
  const { buildApp } = await import("../../runtime/dist/build/index.js");
  const found = {};
  for (const [name, parts] of Object.entries(MODULES)) {
    const parsed = binaryen.parseText(module(parts));
    parsed.setFeatures(binaryen.Features.All);
    found[name] = parsed.emitBinary();
    parsed.dispose();
  }
  found.example = (await buildApp({ directory: join(EXAMPLES, MODULE_EXAMPLE) })).wasm;
  return found;
}

const HOST_TOML = `state = "/var/lib/weir"
[api]
socket = "/run/weir/api.sock"
[workers]
cores = [1]
batch = 64
[[port]]
name = "lan"
device = "weir0"
addresses = ["10.44.0.2/24", "fd44::2/64"]
gateways = ["10.44.0.1"]
routes = [{ to = "10.9.0.0/16", via = "10.44.0.9" }]
mtu = 1500
[ceilings]
memory_mib = 64
[[tenant]]
name = "t"
listen = ["lan:tcp:80-90"]
`;

/** The first byte says which file it is (config.ts). */
function configs() {
  const found = { host: `h${HOST_TOML}` };
  for (const { name } of examples()) found[name] = `w${readFileSync(join(EXAMPLES, name, "weir.toml"), "utf8")}`;
  return found;
}

/** The first four bytes say how the rest is cut (http.ts). */
const REQUESTS = {
  get: "GET /things/7?q=a%20b HTTP/1.1\r\nhost: a\r\nx-test: 1\r\n\r\n",
  post: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET /x HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n",
  chunked:
    "PUT /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nt: v\r\n\r\n" +
    "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
  old: "\r\nGET http://a/b HTTP/1.0\r\nconnection: keep-alive\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi",
  head: "HEAD / HTTP/1.1\r\nhost: a\r\n\r\nDELETE /y HTTP/1.1\r\nhost:\r\n\r\n",
};
const requests = () =>
  Object.fromEntries(Object.entries(REQUESTS).map(([name, text]) => [name, `\x01\x02\x03\x04${text}`]));

/** All keys of a JSON schema, and the values that it names. */
function wordsOf(schema) {
  if (typeof schema !== "object" || schema === null) return [];
  const named = [...Object.keys(schema.properties ?? {}), ...(schema.enum ?? []), schema.default].filter(
    (word) => typeof word === "string" && word !== "",
  );
  return [...named, ...Object.values(schema).flatMap(wordsOf)];
}

const HTTP_WORDS = [
  ...["GET ", "HEAD ", "POST ", "OPTIONS * ", "CONNECT ", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "http://", "https://"],
  ...["host: ", "content-length: ", "transfer-encoding: chunked\r\n", "connection: close\r\n", "keep-alive"],
  ...["expect: 100-continue\r\n", "\r\n\r\n", "0\r\n\r\n", "x-test: ", "?q=", "/things/", "%2F"],
];

/** Values of every type. */
const CONFIG_VALUES = ["{}", "[]", "[{}]", '""', "'''", '"""', "-1", "1e999", "0x1f", "inf", "true", "1979-05-27"];
const CONFIG_TEXTS = ['"10.0.0.1:80"', '"[fd44::1]:9000"', '"lan udp 53"', '"10.9.0.0/16"', '"fd44::2/64"'];

/** Each key as it can stand: before a value, and as the name of a table and of an array of tables. */
function configWords() {
  const schemas = ["weir", "host"].map((name) => join(ROOT, "runtime", `${name}.schema.json`));
  const words = schemas.flatMap((path) => wordsOf(JSON.parse(readFileSync(path, "utf8"))));
  const forms = words.flatMap((word) => [`${word} = `, `\n[${word}]\n`, `\n[[${word}]]\n`]);
  return [...words, ...forms, ...CONFIG_VALUES, ...CONFIG_TEXTS];
}

const SEEDS = { modules, config: configs, http: requests };
const WORDS = { config: configWords, http: () => HTTP_WORDS };

/** libFuzzer's form of a dictionary. */
function asDictionary(words) {
  const escaped = (word) => [...Buffer.from(word)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  return [...new Set(words)].map((word) => `"${escaped(word)}"\n`).join("");
}

/** Writes the seeds of a target, and returns the path of its dictionary if it has one. */
export async function writeSeeds(target, folder) {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(await SEEDS[target]())) writeFileSync(join(folder, name), bytes, "latin1");
  if (WORDS[target] === undefined) return undefined;
  const path = join(folder, "..", "dictionary");
  writeFileSync(path, asDictionary(WORDS[target]()));
  return path;
}
