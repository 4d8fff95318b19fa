/** runtime/: TypeScript to runtime/dist. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { LOG_FOLDER, ROOT } from "../paths.js";
import { mustExecute } from "../shell.js";
import { filesBelow, hashState, isStamped, stamp, unstamp } from "../stamp.js";

const STAMP = "typescript";
const DIST = join(ROOT, "runtime", "dist");
/** AssemblyScript's declarations for editors, which handlers' tsconfig.json names. */
const EDITOR_TYPES = join(ROOT, "guest", "dist", "types", "assembly", "index.d.ts");

export const typescript = {
  name: "typescript",
  check() {
    const runtime = join(ROOT, "runtime");
    const sources = filesBelow(
      runtime,
      (name) => name.endsWith(".ts"),
      (folder) => folder === "dist" || folder === "node_modules",
    );
    const state = hashState(ROOT, [
      ...sources,
      ...["tsconfig.json", "package-lock.json"].map((name) => join(ROOT, name)),
    ]);
    const built = [join(DIST, "cli", "main.js"), EDITOR_TYPES].every((path) => existsSync(path));
    return { done: built && isStamped(STAMP, state), state };
  },
  async mend(context, _report, progress, state) {
    unstamp(STAMP);
    progress.update("tsc");
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    const log = join(LOG_FOLDER, "typescript.log");
    await mustExecute(
      process.execPath,
      [tsc, "-p", ROOT],
      { cwd: ROOT, env: context.env, log },
      "The lines above name the place.",
    );
    const { writeEditorTypes } = await import(join(DIST, "build", "editor-types.js"));
    await writeEditorTypes();
    stamp(STAMP, state);
    return "compiled";
  },
};
