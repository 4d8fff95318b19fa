/** host.toml: what a host grants. The schema is the only definition: defaults, types and the editors' schema. */
import { z } from "zod";
import { type IpNetwork, inNetwork, isHostAddress, isLinkLocal, parseAddress, parseNetwork } from "./address.js";
import { parseGrant } from "./grant.js";
import { labelSchema, limitsSchema, readConfigText } from "./manifest.js";
import { type Later, parseConfig } from "./validate.js";

export const MAX_TENANTS = 1024;
/** A day. */
const MAX_TCP_SECONDS = 86_400;
/** As many as a dataplane can have: kMaxWorkers. */
const MAX_WORKERS = 64;
const MAX_GRANTS = 256;
/** As native/net/stack.h has them, less what gateways need. */
const MAX_ADDRESSES = 16;
const MAX_ROUTES = 30;
const MAX_NAME_SERVERS = 3;

const absolutePath = z.string().regex(/^\/[^\0]*$/, "must be an absolute path");

/** The strings of an array and where they stand. What else is in it is said by the schema. */
function stringsOf(value: unknown): [number, string][] {
  if (!Array.isArray(value)) return [];
  return [...value.entries()].filter((entry): entry is [number, string] => typeof entry[1] === "string");
}

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
  const parsed = parseNetwork(text);
  if (parsed !== undefined && isHostAddress(parsed)) return;
  const message =
    parsed === undefined
      ? `"${text}" is not an address with its prefix\nwrite it like "10.44.0.2/24" or "fd44::2/64"`
      : `no host can have the address "${text}"`;
  context.addIssue({ code: "custom", message });
});

const route = z.strictObject({
  to: z.string().describe('The network, like "10.9.0.0/16".'),
  via: z.string().describe("The neighbor that leads there."),
});

/** What a port's addresses allow besides themselves. */
function checkNeighbors(
  entry: { addresses?: unknown; gateways?: unknown; routes?: unknown; dhcp?: unknown; accept_ra?: unknown },
  bad: (path: (string | number)[], message: string) => void,
): void {
  const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
  const own = stringsOf(entry.addresses)
    .map(([index, text]) => ({ index, network: parseNetwork(text) }))
    .filter((each): each is { index: number; network: IpNetwork } => each.network !== undefined);
  const learns = { 4: entry.dhcp === true, 6: entry.accept_ra === true };
  for (const [at, { index, network: each }] of own.entries()) {
    const same = own.findIndex(({ network }) => network.family === each.family && network.value === each.value);
    if (same < at) bad(["addresses", index], `the address ${each.text} is there twice`);
  }
  const problemOf = (text: string, family: 4 | 6 | undefined, what: string): string | undefined => {
    const neighbor = parseAddress(text);
    if (neighbor === undefined) return `"${text}" is not an IP address`;
    if (family !== undefined && neighbor.family !== family) return `${what} ${text} is of the other address family`;
    const same = own.map((each) => each.network).filter((each) => each.family === neighbor.family);
    if (same.some((each) => each.value === neighbor.value)) return `${what} is weir's own address`;
    if (learns[neighbor.family] || same.some((each) => inNetwork(neighbor, each))) return undefined;
    if (isLinkLocal(neighbor) && same.length > 0) return undefined;
    if (same.length === 0) return `${what} ${text} is of a family that no address is of`;
    const networks = same.map((each) => `${each.text}/${each.prefixBits}`).join(", ");
    return `${what} ${text} is not in the network of ${networks}`;
  };
  const checkNeighbor = (text: string, family: 4 | 6 | undefined, path: (string | number)[], what: string): void => {
    const problem = problemOf(text, family, what);
    if (problem !== undefined) bad(path, problem);
  };
  const families = new Set<number | undefined>();
  for (const [index, text] of stringsOf(entry.gateways)) {
    const family = parseAddress(text)?.family;
    if (family !== undefined && families.has(family)) {
      bad(
        ["gateways", index],
        "there is a gateway of this address family before\nadd [[port.routes]] for other networks",
      );
    }
    families.add(family);
    checkNeighbor(text, undefined, ["gateways", index], "the gateway");
  }
  for (const [index, value] of list(entry.routes).entries()) {
    const { to, via } = (value ?? {}) as { to?: unknown; via?: unknown };
    if (typeof to !== "string" || typeof via !== "string") continue;
    const prefix = parseNetwork(to, true);
    if (prefix === undefined) bad(["routes", index, "to"], `"${to}" is not a network\nwrite it like "10.9.0.0/16"`);
    checkNeighbor(via, prefix?.family, ["routes", index, "via"], "the neighbor");
  }
}

const INTERFACE = {
  pattern: /^(?!\.{1,2}$)[^\s/:]{1,15}$/,
  problem: 'must be 1 to 15 characters without spaces, "/" and ":"',
};
/** Where frames may come from, and what the device is called there. docs/ports.md describes them. */
const DRIVERS = {
  tap: INTERFACE,
  memif: {
    pattern: /^\/[^\0,]{1,106}$/,
    problem: "must be the absolute path of a socket, of at most 107 characters without a comma",
  },
  af_xdp: INTERFACE,
  af_packet: INTERFACE,
  pci: {
    pattern: /^([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]|net_[a-z0-9_]{1,40}(,[^\0\s]{1,200})?)$/,
    problem:
      'must be the address of a card like "0000:03:00.0", or a virtual device of DPDK\'s like "net_af_packet0,iface=eth1"',
  },
} as const;
export type Driver = keyof typeof DRIVERS;

const port = z
  .strictObject({
    name: labelSchema.default("lan").describe("The name that grants use."),
    driver: z
      .enum(Object.keys(DRIVERS) as [Driver, ...Driver[]])
      .default("tap")
      .describe("Where frames come from."),
    device: z
      .string()
      .default("weir0")
      .describe(
        "tap, af_xdp and af_packet: the interface's name. memif: the path of the socket. pci: the address of a card.",
      ),
    tenant: labelSchema
      .optional()
      .describe(
        "The tenant that the port belongs to alone: no other may deploy. What comes in is then received into its apps' windows and not copied.",
      ),
    addresses: z
      .array(network)
      .max(MAX_ADDRESSES)
      .default(["10.44.0.2/24"])
      .describe("weir's own addresses with their prefixes, IPv4 and IPv6."),
    gateways: z.array(z.string()).default([]).describe("The next hop for other networks, one of each family."),
    routes: z.array(route).max(MAX_ROUTES).default([]).describe("Other networks that a neighbor leads to."),
    name_servers: z
      .array(z.string())
      .max(MAX_NAME_SERVERS)
      .default([])
      .describe("DNS servers for [[connect]] by name, asked before those that DHCP and routers name."),
    vlan: z
      .int()
      .min(1)
      .max(4094)
      .optional()
      .describe("The VLAN of all frames (IEEE 802.1Q); without it no frame has a tag."),
    dhcp: z
      .boolean()
      .default(false)
      .describe("An IPv4 address, its routes and name servers come by DHCP; addresses may then be empty."),
    accept_ra: z
      .boolean()
      .default(false)
      .describe("IPv6 addresses and routes come from the routers of the link; addresses may then be empty."),
    detect_conflicts: z
      .boolean()
      .default(false)
      .describe("IPv4 addresses are asked for before they are used, which takes up to 7 s. IPv6 addresses always are."),
    offload: z
      .boolean()
      .default(true)
      .describe(
        "Packets of up to 64 KiB and checksums that are left to the kernel: quicker, but captures show long packets with incomplete checksums.",
      ),
    kernel_address: network
      .optional()
      .describe("Given to the kernel's side of the TAP, which is then set up. Without it the operator does that."),
    kernel_address_v6: network.optional().describe("The same for IPv6."),
  })
  .superRefine(
    (entry, context) => {
      const bad = (path: (string | number)[], message: string) => context.addIssue({ code: "custom", path, message });
      checkNeighbors(entry ?? {}, bad);
      const driver = Object.hasOwn(DRIVERS, String(entry?.driver)) ? (entry.driver as Driver) : "tap";
      if (typeof entry?.device === "string" && !DRIVERS[driver].pattern.test(entry.device)) {
        bad(["device"], DRIVERS[driver].problem);
      }
      for (const [index, text] of stringsOf(entry?.name_servers)) {
        if (parseAddress(text) === undefined) bad(["name_servers", index], `"${text}" is not an IP address`);
      }
      const own = stringsOf(entry?.addresses).map(([, text]) => parseNetwork(text));
      const hasAddresses = Array.isArray(entry?.addresses) && entry.addresses.length > 0;
      if (!hasAddresses && entry?.dhcp !== true && entry?.accept_ra !== true) {
        bad(["addresses"], "at least one address is needed\nor dhcp = true, or accept_ra = true");
      }
      for (const [key, family] of [
        ["kernel_address", 4],
        ["kernel_address_v6", 6],
      ] as const) {
        const text: unknown = entry?.[key];
        const kernel = typeof text === "string" ? parseNetwork(text) : undefined;
        if (text !== undefined && driver !== "tap") bad([key], "is for the kernel's side of a TAP");
        if (kernel === undefined) continue;
        if (kernel.family !== family) bad([key], `is not an IPv${family} address`);
        const same = own.filter((each) => each?.family === family);
        if (same.some((each) => each?.value === kernel.value)) bad([key], "is weir's own address");
        else if (same.length > 0 && !same.some((each) => each !== undefined && inNetwork(kernel, each))) {
          bad(
            [key],
            `${entry[key]} is not in the network of ${same.map((each) => `${each?.text}/${each?.prefixBits}`)}`,
          );
        }
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
        cores: z
          .array(z.int().min(0).max(1023))
          .max(MAX_WORKERS)
          .default([])
          .describe("The cores of the workers, one for each; empty lets the kernel choose."),
        count: z
          .int()
          .min(1)
          .max(MAX_WORKERS)
          .optional()
          .describe("How many workers; without it as many as there are cores in the list, at least one."),
        batch: z.int().min(1).max(256).default(64).describe("Frames of one cycle at most."),
        spin_us: z.int().min(0).max(1_000_000).default(50).describe("How long an idle worker spins, microseconds."),
        connections: z
          .int()
          .min(16)
          .max(1_000_000)
          .default(16_384)
          .describe("Connections of all apps of a worker together."),
      })
      .superRefine(
        (entry, context) => {
          const cores: unknown[] = Array.isArray(entry?.cores) ? entry.cores : [];
          const bad = (path: (string | number)[], message: string) =>
            context.addIssue({ code: "custom", path, message });
          for (const [index, core] of cores.entries()) {
            if (cores.indexOf(core) < index) bad(["cores", index], `core ${core} is there twice`);
          }
          if (typeof entry?.count === "number" && cores.length > 0 && entry.count !== cores.length) {
            bad(["count"], `${entry.count} workers do not fit ${cores.length} cores\nleave count out, or cores`);
          }
        },
        { when: () => true },
      )
      .prefault({}),
    port: single(port, "several ports are not there yet\nkeep one")
      .min(1, "a port is needed\nremove the key for the default one")
      .prefault([{}]),
    tcp: z
      .strictObject({
        congestion_control: z
          .enum(["cubic", "newreno"])
          .default("cubic")
          .describe("How fast is sent where the network is full: CUBIC (RFC 9438) or NewReno (RFC 5681)."),
        ecn: z
          .boolean()
          .default(false)
          .describe("Asks for ECN (RFC 3168) on connections out. Clients that ask for it always get it."),
        keep_alive_s: z
          .int()
          .min(0)
          .max(MAX_TCP_SECONDS)
          .default(7_200)
          .describe("A peer that said nothing for so long is asked whether it is still there, seconds; 0 for never."),
        user_timeout_s: z
          .int()
          .min(0)
          .max(MAX_TCP_SECONDS)
          .default(0)
          .describe("A connection ends when nothing is acknowledged for so long, seconds; 0: after ten repetitions."),
        time_wait_s: z
          .int()
          .min(1)
          .max(240)
          .default(60)
          .describe("How long an ended connection is remembered (TIME-WAIT), seconds."),
        syn_cookies: z
          .boolean()
          .default(true)
          .describe("Clients get in during a flood of SYNs; without, what is beyond the backlog is dropped."),
        hop_limit: z.int().min(1).max(255).default(64).describe("Time to live of all IPv4 packets."),
      })
      .prefault({}),
    ceilings: ceilings.prefault({}).describe("What one app may have at most."),
    tenant: z
      .array(tenant)
      .max(MAX_TENANTS)
      .default([])
      .describe("Without any, every tenant may listen everywhere; with some, only they may, where they are granted."),
  })
  .superRefine(
    (config, context) => {
      const ports = Array.isArray(config?.port)
        ? config.port.map((entry) => entry?.name ?? "lan").filter((name) => typeof name === "string")
        : ["lan"];
      const names = new Set<string>();
      for (const [index, entry] of Array.isArray(config?.tenant) ? config.tenant.entries() : []) {
        const bad = (path: (string | number)[], message: string) =>
          context.addIssue({ code: "custom", path: ["tenant", index, ...path], message });
        if (typeof entry?.name === "string") {
          if (names.has(entry.name)) bad(["name"], `a [[tenant]] before has the name "${entry.name}" too`);
          names.add(entry.name);
        }
        for (const [at, text] of stringsOf(entry?.listen)) {
          const grant = parseGrant(text);
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
    values: ["ring"],
    hint: "there are tap, memif, af_xdp, af_packet and pci",
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
