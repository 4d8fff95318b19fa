/** Where this command line is installed. */
import { realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Folder of @weir/host. */
export function hostFolder(): string {
  return dirname(realpathSync(createRequire(import.meta.url).resolve("@weir/host/package.json")));
}

/** Root of the clone. */
export function cloneFolder(): string {
  return dirname(hostFolder());
}

/** Folder of @weir/guest. */
export function guestFolder(): string {
  return join(cloneFolder(), "guest");
}
