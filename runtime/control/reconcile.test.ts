import { expect, it } from "vitest";
import type { AppSpec } from "../process/native.js";
import { difference, reconcile, type Target, type WantedApp } from "./reconcile.js";

const wanted = (id: number, digest = "d", port = id): WantedApp => ({
  spec: { id, listens: [{ name: "main", protocol: "tcp", port }] } as unknown as AppSpec,
  digest,
});

/** A dataplane that refuses a port that another app has. */
function target(ports: Record<number, number> = {}): Target & { log: string[]; ports: Map<number, number> } {
  const taken = new Map(Object.entries(ports).map(([id, port]) => [Number(id), port]));
  const log: string[] = [];
  return {
    log,
    ports: taken,
    async deploy({ id, listens }) {
      const port = listens[0]!.port;
      log.push(`deploy ${id}`);
      for (const [other, number] of taken) {
        if (other !== id && number === port) throw new Error(`port ${port} is taken`);
      }
      taken.set(id, port);
    },
    async remove(id) {
      log.push(`remove ${id}`);
      taken.delete(id);
    },
  };
}

it("finds what is new, changed and gone, and leaves the rest alone", () => {
  const desired = [wanted(1), wanted(2, "new"), wanted(3)];
  const { remove, deploy } = difference(desired, [
    { id: 1, digest: "d" },
    { id: 2, digest: "old" },
    { id: 9, digest: "d" },
  ]);
  expect(remove).toEqual([9]);
  expect(deploy.map(({ spec }) => spec.id)).toEqual([2, 3]);
});

it("does nothing when nothing differs", async () => {
  const dataplane = target();
  const result = await reconcile([wanted(1)], [{ id: 1, digest: "d" }], dataplane);
  expect(dataplane.log).toEqual([]);
  expect(result).toEqual({ removed: 0, deployed: 0, failures: new Map() });
});

it("removes first, so that ports are free", async () => {
  const dataplane = target({ 9: 80 });
  await reconcile([wanted(1, "d", 80)], [{ id: 9, digest: "d" }], dataplane);
  expect(dataplane.log).toEqual(["remove 9", "deploy 1"]);
});

it("tries again what waits for a port that another one gives up", async () => {
  const dataplane = target({ 1: 80, 2: 81 });
  const actual = [
    { id: 1, digest: "old" },
    { id: 2, digest: "old" },
  ];
  const result = await reconcile([wanted(1, "d", 81), wanted(2, "d", 82)], actual, dataplane);
  expect(result.failures.size).toBe(0);
  expect(dataplane.ports).toEqual(
    new Map([
      [1, 81],
      [2, 82],
    ]),
  );
});

it("gives up when nothing succeeds any more and says why", async () => {
  const dataplane = target({ 7: 80 });
  const result = await reconcile([wanted(1, "d", 80), wanted(2)], [], dataplane);
  expect(result.deployed).toBe(1);
  expect([...result.failures]).toEqual([[1, "port 80 is taken"]]);
  expect(dataplane.log).toEqual(["deploy 1", "deploy 2", "deploy 1"]);
});
