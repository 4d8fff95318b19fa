/** Rust, for the engine; and for `npm test` its formatter and linter. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ENGINE_CRATE, LOG_FOLDER } from "../paths.js";
import { SetupError } from "../report.js";
import { mustExecute, which } from "../shell.js";

/** The oldest Rust that builds the engine, and the one that is installed where rustup may do so. */
const OLDEST = [1, 95];
const TOOLCHAIN = "1.95.0";
const INSTALL = `curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain ${TOOLCHAIN}`;

/** Whether the first line of `rustc -vV` names a Rust that is new enough. */
export function isNewEnough(versionText) {
  const [, major = 0, minor = 0] = (/^rustc (\d+)\.(\d+)/.exec(versionText) ?? []).map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

function versionOf(env) {
  const result = spawnSync("rustc", ["-vV"], { cwd: ENGINE_CRATE, env, encoding: "utf8" });
  return result.status === 0 ? result.stdout : "";
}

function hasTools(env) {
  return ["fmt", "clippy"].every(
    (tool) => spawnSync("cargo", [tool, "--version"], { env, stdio: "ignore" }).status === 0,
  );
}

/** rustup and cargo put themselves here, which a shell that was open before does not know. */
function withCargoHome(env) {
  const home = env.CARGO_HOME ?? join(env.HOME ?? "/root", ".cargo");
  return { ...env, PATH: `${env.PATH ?? ""}:${join(home, "bin")}` };
}

export const rust = {
  name: "rust",
  check(context) {
    // A prebuilt engine needs no Rust; testing the crate does.
    if (context.env.WEIR_ENGINE_DIR && context.command !== "test") return { done: true };
    context.env = withCargoHome(context.env);
    let version = versionOf(context.env);
    if (!isNewEnough(version) && which("rustup", context.env) !== undefined) {
      const pinned = { ...context.env, RUSTUP_TOOLCHAIN: TOOLCHAIN };
      const pinnedVersion = versionOf(pinned);
      if (isNewEnough(pinnedVersion)) {
        context.env = pinned;
        version = pinnedVersion;
      }
    }
    context.rustVersion = version;
    const tools = context.command !== "test" || !isNewEnough(version) || hasTools(context.env);
    return { done: isNewEnough(version) && tools, state: { version, tools } };
  },
  async mend(context, _report, progress, { version, tools }) {
    const found = version === "" ? "Rust is missing" : `${version.split("\n")[0]} is too old`;
    const needed = `weir needs Rust ${OLDEST.join(".")} or newer`;
    const rustup = which("rustup", context.env);
    if (rustup === undefined) {
      const what = tools ? `${found}: ${needed}.` : "cargo fmt or cargo clippy is missing.";
      throw new SetupError(what, {
        advice: `Run \`${INSTALL}\` and then the same command again, or set WEIR_ENGINE_DIR to a prebuilt engine.`,
      });
    }
    const log = join(LOG_FOLDER, "rust.log");
    const advice = `Run \`rustup toolchain install ${TOOLCHAIN} --component rustfmt,clippy\` and then the same command again.`;
    if (!isNewEnough(version)) {
      progress.update(`rustup installs ${TOOLCHAIN}`);
      const install = ["toolchain", "install", TOOLCHAIN, "--profile", "minimal", "--component", "rustfmt,clippy"];
      await mustExecute(rustup, install, { env: context.env, log }, advice);
    } else {
      progress.update("rustup adds rustfmt and clippy");
      await mustExecute(
        rustup,
        ["component", "add", "rustfmt", "clippy"],
        { env: context.env, log, cwd: ENGINE_CRATE },
        advice,
      );
    }
    if (!rust.check(context).done) throw new SetupError(`${found}, and rustup did not mend it.`, { log, advice });
    return context.rustVersion.split("\n")[0];
  },
};
