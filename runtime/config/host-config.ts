/** host.toml: what a host grants. The schema is the only definition: defaults, types and the editors' schema. */
import { z } from "zod";
import { inNetwork, isHostAddress, parseIpv4, parseIpv4Network } from "./address.js";
import { parseGrant } from "./grant.js";
import { labelSchema, limitsSchema, readConfigText } from "./manifest.js";
import { type Later, parseConfig } from "./validate.js";

export const MAX_TENANTS = 1024;
const MAX_GRANTS = 256;

const absolutePath = z.string().regex(/^\/[^\0]*$/, "must be an absolute path");

/** An array that is to have one entry for now. Not by max(): beyond it zod looks at nothing else. */
const single = <T extends z.ZodType>(element: T, message: string) =>
  z.array(element).superRefine(
    (entries, context) => {
      if (Array.isArray(entries) && entries.length > 1) context.addIssue({ code: "custom", message });
    },
    { when: () => true },
  );

/** What one app may have at most. */
const ceilings = z.strictObject({
  memory_mib: limitsSchema.shape.memory_mib.unwrap().default(64).describe("Memory of one app, MiB."),
  connections: limitsSchema.shape.connections.unwrap().default(10_000).describe("Connections of one app at once."),
  poll_us: limitsSchema.shape.poll_us.unwrap().default(100_000).describe("Longest time of one call, microseconds."),
});

const tenantCeilings = z.strictObject({
  memory_mib: limitsSchema.shape.memory_mib.unwrap().optional(),
  connections: limitsSchema.shape.connections.unwrap().optional(),
  poll_us: limitsSchema.shape.poll_us.unwrap().optional(),
});

const network = z.string().superRefine((text, context) => {
  const parsed = parseIpv4Network(text);
  if (parsed !== undefined && isHostAddress(parsed)) return;
  const message = /:.*:/.test(text)
    ? `IPv6 as in "${text}" is not there yet\nwrite an IPv4 address`
    : parsed === undefined
      ? `"${text}" is not an address with its prefix\nwrite it like "10.44.0.2/24"`
      : `no host can have the address "${text}"`;
  context.addIssue({ code: "custom", message });
});

const port = z
  .strictObject({
    name: labelSchema.default("lan").describe("The name that grants use."),
    driver: z.enum(["tap"]).default("tap").describe("Where frames come from."),
    device: z
      .string()
      .regex(/^(?!\.{1,2}$)[^\s/:]{1,15}$/, 'must be 1 to 15 characters without spaces, "/" and ":"')
      .default("weir0")
      .describe("The interface's name in the kernel."),
    addresses: single(network, "several addresses are not there yet\nkeep one")
      .min(1, "at least one address is needed")
      .default(["10.44.0.2/24"])
      .describe("weir's own address with its prefix."),
    gateways: single(z.string(), "several gateways are not there yet\nkeep one")
      .default([])
      .describe("The next hop for other networks."),
    kernel_address: network
      .optional()
      .describe("Given to the kernel's side of the TAP, which is then set up. Without it the operator does that."),
  })
  .superRefine(
    (entry, context) => {
      const own = parseIpv4Network(String(entry?.addresses?.[0]));
      const bad = (path: (string | number)[], message: string) => context.addIssue({ code: "custom", path, message });
      for (const [index, text] of Array.isArray(entry?.gateways) ? entry.gateways.entries() : []) {
        const gateway = parseIpv4(String(text));
        if (gateway === undefined) bad(["gateways", index], `"${text}" is not an IPv4 address`);
        else if (own !== undefined && !inNetwork(gateway, own)) {
          bad(["gateways", index], `the gateway ${text} is not in the network of ${entry.addresses[0]}`);
        } else if (gateway === own?.address) bad(["gateways", index], "the gateway is weir's own address");
      }
      const kernel = parseIpv4Network(String(entry?.kernel_address));
      if (kernel === undefined || own === undefined) return;
      if (kernel.address === own.address) bad(["kernel_address"], "is weir's own address");
      else if (!inNetwork(kernel.address, own)) {
        bad(["kernel_address"], `${entry.kernel_address} is not in the network of ${entry.addresses[0]}`);
      }
    },
    { when: () => true },
  );

const tenant = z.strictObject({
  name: labelSchema.describe("Name of the tenant."),
  listen: z
    .array(
      z.string().superRefine((text, context) => {
        const grant = parseGrant(text);
        if (typeof grant === "string") context.addIssue({ code: "custom", message: grant });
      }),
    )
    .max(MAX_GRANTS)
    .default([])
    .describe('Where its apps may listen: "PORT-NAME http|tcp|udp PORT[-PORT]".'),
  ceilings: tenantCeilings.prefault({}).describe("For this tenant in place of the host's."),
});

export const hostConfigSchema = z
  .strictObject({
    state: absolutePath.default("/var/lib/weir").describe("Directory of what is deployed and of compiled modules."),
    api: z
      .strictObject({
        socket: absolutePath
          .max(100, "must be at most 100 characters long: sockets have short names")
          .default("/run/weir/api.sock"),
      })
      .prefault({}),
    workers: z
      .strictObject({
        cores: single(z.int().min(0).max(1023), "several cores are not there yet\nname one")
          .default([])
          .describe("The core of the worker; empty lets the kernel choose."),
        batch: z.int().min(1).max(256).default(64).describe("Frames of one cycle at most."),
        spin_us: z.int().min(0).max(1_000_000).default(50).describe("How long an idle worker spins, microseconds."),
        connections: z
          .int()
          .min(16)
          .max(1_000_000)
          .default(16_384)
          .describe("Connections of all apps of a worker together."),
      })
      .prefault({}),
    port: single(port, "several ports are not there yet\nkeep one")
      .min(1, "a port is needed\nremove the key for the default one")
      .prefault([{}]),
    ceilings: ceilings.prefault({}).describe("What one app may have at most."),
    tenant: z
      .array(tenant)
      .max(MAX_TENANTS)
      .default([])
      .describe("Without any, every tenant may listen everywhere; with some, only they may, where they are granted."),
  })
  .superRefine(
    (config, context) => {
      const ports = Array.isArray(config?.port) ? config.port.map((entry) => entry?.name ?? "lan") : ["lan"];
      const names = new Set<string>();
      for (const [index, entry] of Array.isArray(config?.tenant) ? config.tenant.entries() : []) {
        const bad = (path: (string | number)[], message: string) =>
          context.addIssue({ code: "custom", path: ["tenant", index, ...path], message });
        if (names.has(entry?.name)) bad(["name"], `a [[tenant]] before has the name "${entry.name}" too`);
        names.add(entry?.name);
        for (const [at, text] of Array.isArray(entry?.listen) ? entry.listen.entries() : []) {
          const grant = parseGrant(String(text));
          if (typeof grant !== "string" && !ports.includes(grant.port)) {
            bad(["listen", at], `there is no [[port]] with the name "${grant.port}"\npossible: ${ports.join(", ")}`);
          }
        }
      }
    },
    { when: () => true },
  );

/** A checked host.toml with its defaults. */
export type HostConfig = z.output<typeof hostConfigSchema>;
/** What one app may have at most. */
export type Ceilings = HostConfig["ceilings"];

const CPU_HINT = "ceilings.poll_us bounds the time of one call";
const LATER: readonly Later[] = [
  {
    path: ["port", "*", "driver"],
    values: ["ring", "memif", "af_xdp", "af_packet", "pci"],
    hint: 'driver = "tap" is there',
  },
  { path: ["ceilings", "cpu_percent"], hint: CPU_HINT },
  { path: ["ceilings", "tx_mbit_s"], hint: "remove the line" },
  { path: ["tenant", "*", "ceilings", "cpu_percent"], hint: CPU_HINT },
  { path: ["tenant", "*", "ceilings", "tx_mbit_s"], hint: "remove the line" },
];

/** Parses the text of a host.toml. Throws ConfigError with every mistake; `file` is only named in them. */
export function parseHostConfig(text: string, file = "host.toml"): HostConfig {
  return parseConfig(hostConfigSchema, LATER, text, file);
}

/** Reads a host.toml. Throws ConfigError, also when there is none. */
export async function readHostConfig(file: string): Promise<HostConfig> {
  return parseHostConfig(await readConfigText(file, "weir up without -c uses the defaults"), file);
}

/** The configuration of a host without a host.toml. */
export function defaultHostConfig(): HostConfig {
  return hostConfigSchema.parse({});
}
