/** The packages of package-lock.json, in node_modules. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { LOG_FOLDER, ROOT } from "../paths.js";
import { mustExecute, which, withoutNpm } from "../shell.js";
import { hashContents, isStamped, stamp, unstamp } from "../stamp.js";

const STAMP = "npm";

function parse(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/**
 * Whether an installation (node_modules/.package-lock.json) has what a lock asks for. Packages for other machines are
 * in the lock only.
 */
export function matches(lock, installed) {
  if (lock?.packages === undefined || installed?.packages === undefined) return false;
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (!path.startsWith("node_modules/")) return true;
    const found = installed.packages[path];
    if (found === undefined) return wanted.optional === true || wanted.devOptional === true || wanted.peer === true;
    return found.version === wanted.version && found.integrity === wanted.integrity;
  });
}

function stateOfLock() {
  return hashContents(ROOT, [join(ROOT, "package-lock.json")]);
}

export const npm = {
  name: "npm",
  check() {
    const state = stateOfLock();
    const installed = join(ROOT, "node_modules", ".package-lock.json");
    if (!existsSync(installed)) return { done: false, state };
    if (isStamped(STAMP, state)) return { done: true, state };
    const done = matches(parse(join(ROOT, "package-lock.json")), parse(installed));
    if (done) stamp(STAMP, state);
    return { done, state };
  },
  async mend(context, _report, progress, state) {
    unstamp(STAMP);
    progress.update("npm ci");
    const log = join(LOG_FOLDER, "npm.log");
    const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    const own = context.env.npm_execpath;
    const [program, first] = own?.endsWith(".js")
      ? [process.execPath, [own]]
      : [which("npm", context.env) ?? "npm", []];
    await mustExecute(
      program,
      [...first, ...args],
      { cwd: ROOT, env: withoutNpm(context.env), log },
      "Is the network reachable? `npm ci` in the clone's root shows more.",
    );
    stamp(STAMP, state);
    return "installed what package-lock.json lists";
  },
};
