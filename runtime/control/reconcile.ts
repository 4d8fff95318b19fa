/** Makes the dataplane run what is desired. */
import type { AppSpec } from "../process/native.js";
import type { RunningApp } from "../process/protocol.js";

/** An app as it is to be in the dataplane. */
export interface WantedApp {
  readonly spec: AppSpec;
  readonly digest: string;
}

/** The part of the dataplane's client that is needed. */
export interface Target {
  deploy(app: AppSpec, digest: string): Promise<unknown>;
  remove(id: number): Promise<unknown>;
}

/** What has to be done so that `actual` becomes `desired`. */
export function difference(
  desired: readonly WantedApp[],
  actual: readonly RunningApp[],
): { remove: number[]; deploy: WantedApp[] } {
  const wanted = new Map(desired.map((app) => [app.spec.id, app]));
  const running = new Map(actual.map((app) => [app.id, app.digest]));
  return {
    remove: actual.filter(({ id }) => !wanted.has(id)).map(({ id }) => id),
    deploy: desired.filter(({ spec, digest }) => running.get(spec.id) !== digest),
  };
}

/**
 * Removes and deploys the difference; `failures` says which apps the dataplane did not take and why. An app may wait for
 * a port that another one of the same difference gives up, so what failed is tried again as long as something succeeds.
 */
export async function reconcile(
  desired: readonly WantedApp[],
  actual: readonly RunningApp[],
  target: Target,
): Promise<{ removed: number; deployed: number; failures: ReadonlyMap<number, string> }> {
  const { remove, deploy } = difference(desired, actual);
  for (const id of remove) await target.remove(id);
  let open = deploy;
  let failures = new Map<number, string>();
  while (open.length > 0) {
    const failed: WantedApp[] = [];
    failures = new Map();
    for (const app of open) {
      try {
        await target.deploy(app.spec, app.digest);
      } catch (error) {
        failed.push(app);
        failures.set(app.spec.id, (error as Error).message);
      }
    }
    if (failed.length === open.length) break;
    open = failed;
  }
  return { removed: remove.length, deployed: deploy.length - failures.size, failures };
}
