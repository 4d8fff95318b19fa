/** The HTTP servers that weir is compared with; docs/dependencies.md names them. What is not there is left out. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder } from "../../runtime/setup/paths.js";
import { which } from "../../runtime/setup/shell.js";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
/** npm packages whose programs are servers: installed beside the engine, and not with weir's own packages. */
const PACKAGES = { bun: "1.4.5", workerd: "1.20261117.1" };

/** The program of one of PACKAGES, which is installed if it is not there yet. */
function packaged(name, progress) {
  const folder = join(cacheFolder(), "bench", `${name}-${PACKAGES[name]}`);
  const program = join(folder, "node_modules", ".bin", name);
  if (!existsSync(program)) {
    progress(`installing ${name} ${PACKAGES[name]}`);
    mkdirSync(folder, { recursive: true });
    const args = [
      "install",
      "--no-save",
      "--no-audit",
      "--no-fund",
      "--loglevel",
      "error",
      "--prefix",
      folder,
      `${name}@${PACKAGES[name]}`,
    ];
    execFileSync("npm", args, { stdio: ["ignore", "ignore", "inherit"] });
  }
  // That it runs on this processor.
  execFileSync(program, ["--version"], { stdio: "ignore" });
  return program;
}

/** Commands by server; `folder` is for what one of them writes. Throws where the server cannot be had. */
const COMMANDS = {
  nginx(folder) {
    const program = which("nginx");
    if (program === undefined) throw new Error("install Debian's package nginx-light");
    return [program, "-p", folder, "-c", file("nginx.conf")];
  },
  bun: (_folder, progress) => [packaged("bun", progress), file("bun.js")],
  node: () => [process.execPath, file("node.js")],
  workerd: (_folder, progress) => [packaged("workerd", progress), "serve", file("workerd.capnp")],
};

/** The command of each server that is there, and a line for each that is not. */
export function httpServers(folder, progress) {
  const linux = {};
  const notes = [];
  for (const [name, command] of Object.entries(COMMANDS)) {
    try {
      linux[name] = command(folder, progress);
    } catch (error) {
      notes.push(`${name} was left out: ${error.message}`);
    }
  }
  return { linux, notes };
}
