/** Debian packages: looked for by what they bring, installed with apt-get where that is allowed. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { packagesFor } from "../packages.js";
import { LOG_FOLDER } from "../paths.js";
import { SetupError } from "../report.js";
import { execute, tailOf, which } from "../shell.js";

/** How long apt-get waits for another package manager. */
const LOCK_TIMEOUT_S = 300;
const TRIES = 3;
const RETRY_PAUSE_MS = 5_000;

/** Whether what a package brings is there, wherever it came from. */
export function isPresent(each, find = which, exists = existsSync) {
  return (
    each.programs?.some((program) => find(program) !== undefined) || each.files?.every((file) => exists(file)) || false
  );
}

/** The command line of an installation as somebody would type it. */
export function installCommand(names) {
  return `sudo apt-get install -y --no-install-recommends ${names.join(" ")}`;
}

function hasLists() {
  try {
    return readdirSync("/var/lib/apt/lists").some((name) => name.endsWith("_Packages") || name.includes("_Packages."));
  } catch {
    return false;
  }
}

/** How to become root without being asked anything: [], ["sudo", "-n"], or undefined when that is not possible. */
function elevation() {
  if (process.getuid() === 0) return [];
  const sudo = which("sudo");
  return sudo !== undefined && spawnSync(sudo, ["-n", "true"], { stdio: "ignore" }).status === 0
    ? [sudo, "-n"]
    : undefined;
}

async function aptGet(prefix, args, log) {
  const command = [
    ...prefix,
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    "-o",
    `DPkg::Lock::Timeout=${LOCK_TIMEOUT_S}`,
    ...args,
  ];
  for (let attempt = 1; ; attempt++) {
    const { code } = await execute(command[0], command.slice(1), { log, append: true });
    const busy = code !== 0 && /Could not get lock|Unable to (lock|acquire)/.test(tailOf(log));
    if (!busy || attempt === TRIES) return code;
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
  }
}

export const packages = {
  name: "packages",
  check({ command }) {
    const missing = packagesFor(command).filter((each) => !isPresent(each));
    return { done: missing.length === 0, state: missing };
  },
  async mend({ command }, report, progress, missing) {
    const names = missing.map((each) => each.name);
    const byHand = `Run \`${installCommand(names)}\` and then the same command again.`;
    if (which("apt-get") === undefined) {
      throw new SetupError(`Missing: ${missing.map((each) => `${each.name} (${each.purpose})`).join(", ")}.`, {
        advice: "This is not a Debian: install what these packages bring with your own package manager.",
      });
    }
    const prefix = elevation();
    if (prefix === undefined) {
      throw new SetupError(`Debian packages are missing: ${names.join(" ")}.`, { advice: byHand });
    }
    report.line(`  installing Debian packages: ${names.join(" ")}`);
    const log = join(LOG_FOLDER, "packages.log");
    progress.update("apt-get");
    const install = ["install", "-y", "--no-install-recommends", ...names];
    let code = 100;
    if (hasLists()) code = await aptGet(prefix, install, log);
    // Without lists, or with lists that name files which are gone, they have to be fetched first.
    if (code !== 0) {
      await aptGet(prefix, ["update"], log);
      code = await aptGet(prefix, install, log);
    }
    const left = packagesFor(command).filter((each) => !isPresent(each));
    if (code !== 0 || left.length > 0) {
      throw new SetupError(
        `apt-get could not install ${(left.length > 0 ? left : missing).map((each) => each.name).join(" ")}.`,
        {
          log,
          advice: byHand,
        },
      );
    }
    return `installed ${names.length}`;
  },
};
