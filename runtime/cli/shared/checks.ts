/** What `weir doctor` looks at. */
import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { availableParallelism, freemem, totalmem } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { loadNative } from "../../process/native.js";
import { cloneFolder } from "./installation.js";

/** `warning`: weir runs, but not as well as it could. `missing`: something does not work. */
export type Verdict = "ok" | "warning" | "missing";

export interface Finding {
  readonly name: string;
  /** What it is needed for. */
  readonly meaning: string;
  /** What was found. */
  readonly found: string;
  readonly verdict: Verdict;
  /** What to do about a verdict other than ok. */
  readonly mend: string;
}

const CHECK_TIMEOUT_MS = 10_000;
const OLDEST_NODE = [20, 19] as const;
const OLDEST_RUST = [1, 95] as const;
/** Four areas of memory per guest instance and a few per module, for 10,000 tenants. */
const WANTED_MAP_COUNT = 262_144;
const WANTED_MEMORY_MIB = 1_024;
const MIB = 1_048_576;
/** capabilities(7). */
const CAP_NET_ADMIN = 12;
const CAP_SYS_ADMIN = 21;

const PROGRAMS: readonly (readonly [program: string, package_: string])[] = [
  ["g++", "g++"],
  ["cmake", "cmake"],
  ["ninja", "ninja-build"],
  ["pkg-config", "pkg-config"],
  ["ip", "iproute2"],
  ["unshare", "util-linux"],
  ["nsenter", "util-linux"],
  ["setpriv", "util-linux"],
  ["ping", "iputils-ping"],
];

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

function hasProgram(program: string): boolean {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

async function succeeds(program: string, ...rest: string[]): Promise<string | undefined> {
  try {
    return (await promisify(execFile)(program, rest, { timeout: CHECK_TIMEOUT_MS })).stdout.trim();
  } catch {
    return undefined;
  }
}

/** Whether version text like "1.95.0" is at least `oldest`. */
export function isAtLeast(version: string, oldest: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
}

function hasCapability(bit: number): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText("/proc/self/status") ?? "")?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 1n;
}

const isRoot = process.getuid?.() === 0;

function node(): Finding {
  const found = process.versions.node;
  return {
    name: "node",
    meaning: "Runs the control plane and hosts the dataplane.",
    found,
    verdict: isAtLeast(found, OLDEST_NODE) ? "ok" : "missing",
    mend: `Install Node ${OLDEST_NODE.join(".")} or newer.`,
  };
}

function packages(): Finding {
  const missing = PROGRAMS.filter(([program]) => !hasProgram(program));
  const dpdk = ["x86_64", "aarch64"].some((cpu) => existsSync(`/usr/lib/${cpu}-linux-gnu/pkgconfig/libdpdk.pc`));
  const names = [...new Set([...missing.map(([, name]) => name), ...(dpdk ? [] : ["libdpdk-dev"])])];
  return {
    name: "packages",
    meaning: "Debian packages to build with, and the tools that make and enter namespaces.",
    found: names.length === 0 ? "all there" : `missing: ${names.join(" ")}`,
    verdict: names.length === 0 ? "ok" : "missing",
    mend: `sudo apt-get install -y --no-install-recommends ${names.join(" ")}`,
  };
}

async function rust(): Promise<Finding> {
  const pinned = `${OLDEST_RUST.join(".")}.0`;
  const versions = [await succeeds("rustc", "--version"), await succeeds("rustc", `+${pinned}`, "--version")];
  const found = versions.find((text) => isAtLeast(/^rustc (\S+)/.exec(text ?? "")?.[1] ?? "0", OLDEST_RUST));
  const prebuilt = Boolean(process.env.WEIR_ENGINE_DIR);
  return {
    name: "rust",
    meaning: "Builds the engine, once. Not needed with WEIR_ENGINE_DIR.",
    found: found ?? versions[0] ?? "none",
    verdict: found !== undefined || prebuilt ? "ok" : "missing",
    mend: `rustup toolchain install ${pinned}`,
  };
}

function addon(): Finding {
  let found: string;
  let verdict: Verdict = "ok";
  try {
    found = `loads, engine ${loadNative().engineVersion()}`;
  } catch (error) {
    const cause = (error as Error).cause;
    found = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : (error as Error).message;
    verdict = "missing";
  }
  return {
    name: "addon",
    meaning: "The dataplane itself, with the engine in it.",
    found,
    verdict,
    mend: `Run npm start or npm test in ${cloneFolder()}: both build it.`,
  };
}

function tun(): Finding {
  let verdict: Verdict = "ok";
  let found = "may be opened";
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch (error) {
    verdict = "missing";
    found = (error as NodeJS.ErrnoException).code === "ENOENT" ? "does not exist" : "may not be opened by this user";
  }
  return {
    name: "/dev/net/tun",
    meaning: "The TAP port.",
    found,
    verdict,
    mend:
      found === "does not exist"
        ? "sudo modprobe tun; in a container: --device /dev/net/tun"
        : "sudo chmod 0666 /dev/net/tun",
  };
}

function capabilities(): Finding {
  const netAdmin = hasCapability(CAP_NET_ADMIN);
  const sysAdmin = hasCapability(CAP_SYS_ADMIN);
  return {
    name: "capabilities",
    meaning:
      "CAP_NET_ADMIN opens TAPs in this network (weir up, weir run). The playground does without, in a user namespace.",
    found: `CAP_NET_ADMIN ${netAdmin ? "yes" : "no"}, CAP_SYS_ADMIN ${sysAdmin ? "yes" : "no"}`,
    verdict: netAdmin ? "ok" : "warning",
    mend: "Run weir up as root; in a container: --cap-add NET_ADMIN --cap-add SYS_ADMIN",
  };
}

async function namespaces(): Promise<Finding> {
  const user = isRoot ? [] : ["--user", "--map-root-user"];
  const works =
    (await succeeds("unshare", ...user, "--net", "--mount", "--pid", "--fork", "--mount-proc", "true")) !== undefined;
  return {
    name: "namespaces",
    meaning: "The playground (weir demo, weir dev) runs in namespaces of its own.",
    found: works ? `can be made${isRoot ? "" : ", in a user namespace"}` : "may not be made",
    verdict: works ? "ok" : "missing",
    mend: isRoot
      ? "In a container: --cap-add SYS_ADMIN --security-opt seccomp=unconfined"
      : "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=10000, or run as root",
  };
}

function hugepages(): Finding {
  const free = Number(/^HugePages_Free:\s*(\d+)$/m.exec(readText("/proc/meminfo") ?? "")?.[1] ?? 0);
  return {
    name: "hugepages",
    meaning: "Packet buffers on hugepages cost fewer TLB misses. weir runs without.",
    found: `${free} free`,
    verdict: free > 0 ? "ok" : "warning",
    mend: "sudo sysctl -w vm.nr_hugepages=128",
  };
}

function mapCount(): Finding {
  const found = Number(readText("/proc/sys/vm/max_map_count") ?? 0);
  return {
    name: "vm.max_map_count",
    meaning: "Every guest instance takes four areas of memory: this bounds how many apps fit.",
    found: String(found),
    verdict: found >= WANTED_MAP_COUNT ? "ok" : "warning",
    mend: `sudo sysctl -w vm.max_map_count=${WANTED_MAP_COUNT}`,
  };
}

function memory(): Finding {
  const available = Number(
    /^MemAvailable:\s*(\d+) kB$/m.exec(readText("/proc/meminfo") ?? "")?.[1] ?? freemem() / 1024,
  );
  const mib = Math.round((available * 1024) / MIB);
  return {
    name: "memory",
    meaning: "Packet buffers, connections and guests; building takes more.",
    found: `${mib} MiB of ${Math.round(totalmem() / MIB)} MiB available`,
    verdict: mib >= WANTED_MEMORY_MIB ? "ok" : "warning",
    mend: `Free some: weir wants ${WANTED_MEMORY_MIB} MiB.`,
  };
}

function cores(): Finding {
  const found = availableParallelism();
  return {
    name: "cores",
    meaning: "A worker takes one while it is busy; the control plane and the clients want another.",
    found: String(found),
    verdict: found >= 2 ? "ok" : "warning",
    mend: "Give it two cores.",
  };
}

/** Every check, in the order of the list that is printed. */
export const CHECKS: readonly (() => Finding | Promise<Finding>)[] = [
  node,
  packages,
  rust,
  addon,
  tun,
  capabilities,
  namespaces,
  hugepages,
  mapCount,
  memory,
  cores,
];
