#!/usr/bin/env node
// The command `weir`: loads the compiled command line, or says how to get it.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const main = new URL("../dist/cli/main.js", import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  process.stderr.write(
    `weir: not built yet.\n  Run \`npm start\` or \`npm test\` in ${root} once: both build what is missing.\n`,
  );
  process.exitCode = 1;
}
