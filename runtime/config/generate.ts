/** Writes what is generated from the schemas: those that editors use to complete and check the files, and their reference. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { hostConfigSchema } from "./host-config.js";
import { manifestSchema } from "./manifest.js";
import { configurationReference } from "./reference.js";

const schemaOf = (schema: z.ZodType) => z.toJSONSchema(schema, { io: "input" });

function editorSchema(schema: z.ZodType, title: string): string {
  return `${JSON.stringify({ title, ...schemaOf(schema) }, undefined, 2)}\n`;
}

/** The generated files with their text, relative to the folder of the package. */
export function generated(): ReadonlyMap<string, string> {
  const reference = configurationReference([
    ["weir.toml", "What an app is and asks for, in its folder.", schemaOf(manifestSchema)],
    ["host.toml", "What a host has and grants: `weir up -c host.toml`.", schemaOf(hostConfigSchema)],
  ]);
  return new Map([
    ["weir.schema.json", editorSchema(manifestSchema, "weir.toml: what an app asks for")],
    ["host.schema.json", editorSchema(hostConfigSchema, "host.toml: what a host grants")],
    ["../docs/configuration.md", reference],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = new URL("../../", import.meta.url); // from dist/config
  for (const [path, text] of generated()) writeFileSync(new URL(path, root), text);
}
