/** From an app's manifest to what the dataplane is told. */
import { memoryPagesOf } from "../admit/admit.js";
import { connectsOf, type Limits, listensOf, type Manifest } from "../config/manifest.js";
import type { AppSpec } from "../process/native.js";

/** The specification of an app with the limits that it was granted. */
export function appSpecOf(app: {
  readonly id: number;
  readonly tenant: string;
  readonly manifest: Manifest;
  readonly limits: Limits;
  readonly compiledPath: string;
}): AppSpec {
  const { id, tenant, manifest, limits, compiledPath } = app;
  return {
    id,
    name: manifest.name,
    tenant,
    compiledPath,
    listens: listensOf(manifest),
    connects: connectsOf(manifest),
    vars: Object.entries(manifest.vars),
    memoryPages: memoryPagesOf(limits.memory_mib),
    connections: limits.connections,
    pollUs: limits.poll_us,
  };
}
