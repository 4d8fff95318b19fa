/** Who may have what: tenants' grants, ceilings, ports that others have. */

import { allows, parseGrant } from "../config/grant.js";
import type { Ceilings, HostConfig } from "../config/host-config.js";
import { checkManifest, type Limits, labelSchema, listensOf, type Manifest } from "../config/manifest.js";
import { ConfigError } from "../config/problem.js";
import type { ListenSpec } from "../process/native.js";
import { HostError } from "./errors.js";

/** Ids of apps are 1 to 255: they are slots in the counter file. */
export const MAX_APPS = 255;

/** What policy needs to know of an app. */
export interface Claim {
  readonly tenant: string;
  readonly name: string;
  readonly listens: readonly ListenSpec[];
}

/** Checks a name of a tenant or an app. Throws HostError. */
export function checkName(what: "app" | "tenant", name: string): void {
  const result = labelSchema.safeParse(name);
  if (result.success) return;
  const text = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}...` : name);
  throw new HostError(
    "invalid",
    `${text} cannot be the name of ${what === "app" ? "an app" : "a tenant"}: it ${result.error.issues[0]!.message}`,
  );
}

/** Checks a manifest that came over the API. Throws HostError with every mistake. */
export function checkedManifest(value: unknown): Manifest {
  try {
    return checkManifest(value);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const problems = error.problems.map(({ file, message, hint }) => ({ file, message, hint }));
    throw new HostError("invalid", `the manifest cannot be used: ${error.message}`, "", problems);
  }
}

/** Checks that the tenant may listen there. Throws HostError with the grant that is missing. */
export function checkGrants(config: HostConfig, claim: Claim): void {
  const owned = config.port[0]!;
  if (owned.tenant !== undefined && owned.tenant !== claim.tenant) {
    throw new HostError(
      "forbidden",
      `the port "${owned.name}" belongs to the tenant "${owned.tenant}" alone`,
      `deploy as that tenant, or remove tenant from [[port]] in host.toml`,
    );
  }
  if (config.tenant.length === 0) return;
  const tenant = config.tenant.find(({ name }) => name === claim.tenant);
  const port = config.port[0]!.name;
  const wanted = (listen: ListenSpec): string => `"${port} ${listen.protocol} ${listen.port}"`;
  if (tenant === undefined) {
    const grants = claim.listens.map(wanted).join(", ");
    throw new HostError(
      "forbidden",
      `host.toml has no tenant "${claim.tenant}"`,
      `add to host.toml: [[tenant]] name = "${claim.tenant}", listen = [${grants}]`,
    );
  }
  const grants = tenant.listen.map(parseGrant).filter((grant) => typeof grant !== "string");
  const missing = claim.listens.filter(
    ({ protocol, port: number }) => !grants.some((grant) => allows(grant, port, protocol, number)),
  );
  if (missing.length === 0) return;
  throw new HostError(
    "forbidden",
    `the tenant "${claim.tenant}" may not listen on ${missing.map(({ protocol, port: n }) => `${protocol} ${n}`).join(", ")}`,
    `add to its listen in host.toml: ${missing.map(wanted).join(", ")}`,
  );
}

/** HTTP is TCP on the wire. */
const wirePort = ({ protocol, port }: ListenSpec): string => `${protocol === "udp" ? "udp" : "tcp"} ${port}`;

/** Checks that no other app listens there. Throws HostError. */
export function checkConflicts(claim: Claim, others: readonly Claim[]): void {
  for (const listen of claim.listens) {
    const owner = others.find((other) => other.listens.some((taken) => wirePort(taken) === wirePort(listen)));
    if (owner === undefined) continue;
    const own = owner.tenant === claim.tenant;
    throw new HostError(
      "conflict",
      `${wirePort(listen)} is taken by ${own ? `the app "${owner.name}"` : "an app of another tenant"}`,
      own ? `choose another port, or remove it first: weir rm ${owner.name}` : "choose another port",
    );
  }
}

/** What the app gets, and what was cut: the ceiling wins. */
export function granted(config: HostConfig, tenantName: string, limits: Limits): { limits: Limits; notes: string[] } {
  const tenant = config.tenant.find(({ name }) => name === tenantName);
  const notes: string[] = [];
  const cut = (key: keyof Ceilings): number => {
    const own = tenant?.ceilings[key];
    const ceiling = own ?? config.ceilings[key];
    if (limits[key] <= ceiling) return limits[key];
    const whose = own === undefined ? "the host's ceiling" : `the ceiling of the tenant "${tenantName}"`;
    notes.push(`limits.${key}: ${limits[key]} is asked, ${ceiling} granted (${whose})`);
    return ceiling;
  };
  return { limits: { memory_mib: cut("memory_mib"), connections: cut("connections"), poll_us: cut("poll_us") }, notes };
}

/** The claim of an app. */
export function claimOf(app: { tenant: string; manifest: Manifest }): Claim {
  return { tenant: app.tenant, name: app.manifest.name, listens: listensOf(app.manifest) };
}
