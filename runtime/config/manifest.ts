/** weir.toml: what an app asks for. The schema is the only definition: defaults, types and the editors' schema. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ABI_VERSION, CONFIG_RECORD_BYTES, constants } from "../abi/contract.js";
import type { ConnectSpec, ListenSpec } from "../process/native.js";
import { parseEndpoint, parseNamedEndpoint } from "./address.js";
import { ConfigError } from "./problem.js";
import { checkConfig, type Later, parseConfig } from "./validate.js";

export const MANIFEST_FILE = "weir.toml";
/** Listens, connects and vars of one app together (the contract's config_capacity). */
export const MAX_CONFIG_RECORDS = constants.find((c) => c.name === "config_capacity")!.value;
/** Their bytes, so that they fit the info block beside times and tickets. */
export const MAX_CONFIG_BYTES = 60 * 1024;
const MAX_ENTRIES = 64;

/** Names of apps, tenants and ports: a DNS label, because they become parts of host names. */
export const labelSchema = z
  .string()
  .regex(
    /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/,
    'must be 1 to 63 of a-z, 0-9 and "-", starting with a letter and not ending with "-"',
  );

const PROTOCOLS = ["http", "tcp", "udp"] as const;
const port = (protocol: string) =>
  z.int().min(1).max(65535).optional().describe(`Port for ${protocol}. An entry has exactly one of http, tcp and udp.`);

const listen = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_-]{0,62}$/, 'must be 1 to 63 letters, digits, "_" or "-", not starting with a digit')
      .default("main")
      .describe("The name that code uses."),
    http: port("HTTP/1.1 over TCP"),
    tcp: port("TCP"),
    udp: port("UDP"),
  })
  .superRefine(
    (entry, context) => {
      const given = PROTOCOLS.filter((protocol) => entry?.[protocol] !== undefined);
      if (given.length === 1 || typeof entry !== "object") return;
      const message =
        given.length === 0
          ? "the entry has no port\nadd one of http = 80, tcp = 7, udp = 53"
          : `the entry has ${given.join(" and ")}\nmake an entry for each`;
      context.addIssue({ code: "custom", message, params: { at: "key" } });
    },
    { when: () => true },
  );

const connect = z.strictObject({
  to: z
    .string()
    .describe(
      'Where the app may connect to: an address and a port, like "10.0.0.2:9000" or "[fd44::1]:9000", or the name of a host and a port, like "db.example:5432": the name servers of the host\'s port say what it stands for.',
    )
    .superRefine((text, context) => {
      if (parseEndpoint(text) !== undefined || parseNamedEndpoint(text) !== undefined) return;
      const message = `"${text}" is not an address or a name with a port\nwrite it like "10.0.0.2:9000", "[fd44::1]:9000" or "db.example:5432"`;
      context.addIssue({ code: "custom", message });
    }),
});

export const limitsSchema = z.strictObject({
  memory_mib: z.int().min(1).max(1024).default(16).describe("Memory for data and heap, MiB."),
  connections: z.int().min(1).max(1_000_000).default(10_000).describe("Connections at once."),
  poll_us: z.int().min(50).max(1_000_000).default(2_000).describe("Longest time of one call, microseconds."),
});

export const manifestSchema = z
  .strictObject({
    name: labelSchema.describe("Name of the app."),
    main: z
      .string()
      .regex(/^[^\0]{1,1024}\.(ts|wasm)$/, 'must end in ".ts" or ".wasm"')
      .default("handler.ts")
      .describe("The handler; a .wasm is taken as it is."),
    abi: z
      .literal(ABI_VERSION, `must be ${ABI_VERSION}: the contract this weir speaks`)
      .default(ABI_VERSION)
      .describe("The contract version the handler is written for."),
    listen: z.array(listen).max(MAX_ENTRIES).default([]).describe("Where the app listens."),
    connect: z.array(connect).max(MAX_ENTRIES).default([]).describe("Where it connects to; nothing else goes out."),
    vars: z
      .record(
        z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be letters, digits and "_", not starting with a digit'),
        z.string(),
      )
      .default({})
      .describe("Settings that the handler reads."),
    limits: limitsSchema.prefault({}).describe("Requests; the host's ceilings win, and deploy says so."),
    build: z
      .strictObject({
        watch: z.array(z.string().min(1)).max(MAX_ENTRIES).default([]).describe("More files that weir dev watches."),
      })
      .prefault({}),
  })
  .superRefine(
    (manifest, context) => {
      for (const { path, message } of crossChecks(manifest)) {
        context.addIssue({ code: "custom", path, message });
      }
    },
    { when: () => true },
  );

/** A checked weir.toml with its defaults. */
export type Manifest = z.output<typeof manifestSchema>;
export type Limits = z.output<typeof limitsSchema>;

const LATER: readonly Later[] = [
  { path: ["secrets"], hint: "use [vars] for what is not secret" },
  { path: ["env"], hint: "keep one weir.toml for each environment" },
  { path: ["listen", "*", "host"], hint: "the entry takes every host name of its port" },
  { path: ["listen", "*", "packet"], hint: "http, tcp and udp are there" },
  { path: ["limits", "cpu_percent"], hint: "poll_us bounds the time of one call" },
  { path: ["limits", "tx_mbit_s"], hint: "remove the line" },
];

function crossChecks(manifest: Manifest): { path: (string | number)[]; message: string }[] {
  const found: { path: (string | number)[]; message: string }[] = [];
  const asArray = <T>(value: readonly T[] | undefined): readonly T[] => (Array.isArray(value) ? value : []);
  const names = new Map<string, number>();
  const ports = new Map<string, number>();
  for (const [index, entry] of asArray(manifest?.listen).entries()) {
    if (typeof entry !== "object" || entry === null) continue;
    const name = entry.name ?? "main";
    if (names.has(name)) {
      found.push({ path: ["listen", index, "name"], message: `a [[listen]] before has the name "${name}" too` });
    }
    names.set(name, index);
    for (const protocol of PROTOCOLS) {
      const number = entry[protocol];
      if (typeof number !== "number") continue;
      const key = `${protocol === "udp" ? "udp" : "tcp"} ${number}`;
      if (ports.has(key)) {
        found.push({ path: ["listen", index, protocol], message: `a [[listen]] before has ${key} too` });
      }
      ports.set(key, index);
    }
  }
  const targets = new Set<string>();
  for (const [index, entry] of asArray(manifest?.connect).entries()) {
    if (typeof entry?.to !== "string") continue;
    if (targets.has(entry.to)) {
      found.push({ path: ["connect", index, "to"], message: `a [[connect]] before has "${entry.to}" too` });
    }
    targets.add(entry.to);
  }
  const vars = typeof manifest?.vars === "object" && manifest.vars !== null ? Object.entries(manifest.vars) : [];
  const records = asArray(manifest?.listen).length + asArray(manifest?.connect).length + vars.length;
  if (records > MAX_CONFIG_RECORDS) {
    const message = `listens, connects and vars are ${records} together; at most ${MAX_CONFIG_RECORDS} are possible`;
    found.push({ path: ["vars"], message });
  }
  // What is no string is said by the schema, and takes no room.
  const texts: readonly unknown[] = [
    ...asArray(manifest?.listen).flatMap((entry) => [entry?.name, "http:65535"]),
    ...asArray(manifest?.connect).map((entry) => entry?.to),
    ...vars.flat(),
  ];
  const bytes = configBytes(
    records,
    texts.filter((text) => typeof text === "string"),
  );
  if (bytes > MAX_CONFIG_BYTES) {
    const message = `names and values take ${bytes} bytes; at most ${MAX_CONFIG_BYTES} are possible`;
    found.push({ path: ["vars"], message: `${message}\nbuild large data into the handler` });
  }
  return found;
}

const configBytes = (records: number, strings: readonly string[]): number =>
  records * CONFIG_RECORD_BYTES + strings.reduce((sum, text) => sum + Buffer.byteLength(text), 0);

/** Parses the text of a weir.toml. Throws ConfigError with every mistake; `file` is only named in them. */
export function parseManifest(text: string, file = MANIFEST_FILE): Manifest {
  return parseConfig(manifestSchema, LATER, text, file);
}

/** Checks a manifest that came as JSON. Throws ConfigError. */
export function checkManifest(value: unknown): Manifest {
  return checkConfig(manifestSchema, LATER, value, "manifest");
}

/** Reads weir.toml of a folder. Throws ConfigError, also when there is none. */
export async function readManifest(directory: string): Promise<Manifest> {
  const file = join(directory, MANIFEST_FILE);
  return parseManifest(await readConfigText(file, "weir init NAME makes a folder with one"), file);
}

/** Reads a configuration file. Throws ConfigError with `hint` when it is not there. */
export async function readConfigText(file: string, hint: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const message = missing ? "no such file" : `cannot be read: ${(error as Error).message}`;
    throw new ConfigError([{ file, line: 0, column: 0, message, hint: missing ? hint : "" }]);
  }
}

/** The manifest's listens as the dataplane wants them. */
export function listensOf(manifest: Manifest): ListenSpec[] {
  return manifest.listen.map((entry) => {
    const protocol = PROTOCOLS.find((candidate) => entry[candidate] !== undefined)!;
    return { name: entry.name, protocol, port: entry[protocol]! };
  });
}

/** The manifest's connects as the dataplane wants them. */
export function connectsOf(manifest: Manifest): ConnectSpec[] {
  return manifest.connect.map(({ to }) => ({ to, ...(parseEndpoint(to) ?? parseNamedEndpoint(to)!) }));
}
