/** Formatting and lint of TypeScript, JavaScript, JSON and C++. */
import { join } from "node:path";
import { ROOT } from "../paths.js";
import { execute, which } from "../shell.js";
import { nativeSources } from "../steps/native.js";

const asResult = ({ code }) => (code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });

export const formatRunners = [
  {
    name: "biome",
    async run(context, _progress, log) {
      const biome = join(ROOT, "node_modules", "@biomejs", "biome", "bin", "biome");
      const args = [biome, "ci", "--colors=off", "--diagnostic-level=warn", "--error-on-warnings", ROOT];
      return asResult(await execute(process.execPath, args, { cwd: ROOT, env: context.env, log }));
    },
  },
  {
    name: "clang-format",
    async run(context, _progress, log) {
      const sources = nativeSources().filter((file) => /\.(cc|h)$/.test(file));
      const args = ["--dry-run", "-Werror", ...sources];
      return asResult(
        await execute(which("clang-format-14") ?? "clang-format-14", args, { cwd: ROOT, env: context.env, log }),
      );
    },
  },
];
