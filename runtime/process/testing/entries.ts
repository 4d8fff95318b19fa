/** Entry scripts for tests; they run as their own processes and so from the compiled tree. */
import { fileURLToPath } from "node:url";

const inDist = (path: string): string =>
  fileURLToPath(
    new URL(import.meta.url.includes("/dist/") ? `./${path}` : `../../dist/process/testing/${path}`, import.meta.url),
  );

export const FAKE_ENTRIES = { dataplane: inDist("fake-dataplane.js"), admit: inDist("fake-admit.js") };
