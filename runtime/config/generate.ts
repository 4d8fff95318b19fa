/** Writes weir.schema.json and host.schema.json, which editors use to complete and check the files. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { hostConfigSchema } from "./host-config.js";
import { manifestSchema } from "./manifest.js";

function editorSchema(schema: z.ZodType, title: string): string {
  return `${JSON.stringify({ title, ...z.toJSONSchema(schema, { io: "input" }) }, undefined, 2)}\n`;
}

/** The generated files with their text, relative to the folder of the package. */
export function generated(): ReadonlyMap<string, string> {
  return new Map([
    ["weir.schema.json", editorSchema(manifestSchema, "weir.toml: what an app asks for")],
    ["host.schema.json", editorSchema(hostConfigSchema, "host.toml: what a host grants")],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = new URL("../../", import.meta.url); // from dist/config
  for (const [path, text] of generated()) writeFileSync(new URL(path, root), text);
}
