/**
 * A host for tests: `weir up` in network, mount and process namespaces of its own. Whatever a test does in there, the
 * kernel ends all of it with the namespaces' first process.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requireBuild } from "./clone.js";
import {
  execute,
  mustExecute,
  processTree,
  type Result,
  Running,
  stillRunning,
  testEnvironment,
  until,
  weirCommand,
} from "./processes.js";
import { start, temporaryFolder } from "./scope.js";

export const KERNEL_ADDRESS = "10.44.0.1";
export const WEIR_ADDRESS = "10.44.0.2";
export const KERNEL_ADDRESS_V6 = "fd44::1";
export const WEIR_ADDRESS_V6 = "fd44::2";
export const DEVICE = "weir0";

const UP_TIMEOUT_MS = 90_000;
/** A deploy compiles: on a busy machine that takes its time. */
const VERB_TIMEOUT_MS = 90_000;

export interface TestHostOptions {
  /** Tables added to host.toml, after state, [api] and [[port]]. */
  readonly tables?: string;
  /** Lines added to [[port]]. */
  readonly port?: string;
  /** weir's addresses in place of the usual two. */
  readonly addresses?: readonly string[];
  /** Run in the namespaces before the host starts. */
  readonly prepare?: readonly string[];
}

type ExecuteOptions = NonNullable<Parameters<typeof execute>[1]>;

/** Namespaces without a host in them. */
export class TestNamespace {
  /** Process outside whose namespaces these are. */
  readonly holder: Running;

  private constructor(holder: Running) {
    this.holder = holder;
  }

  /** Makes namespaces that end with the test. */
  static async create(): Promise<TestNamespace> {
    const script = "ip link set lo up && echo ready && exec sleep infinity";
    const namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const holder = start(["setpriv", "--pdeathsig", "KILL", "unshare", ...namespaces, "sh", "-c", script]);
    await holder.output(/ready/);
    return new TestNamespace(holder);
  }

  /** The command line that runs `command` inside. */
  enter(command: readonly string[]): string[] {
    // The process namespace is that of unshare's child; the others unshare itself is in, too.
    const target = ["--target", String(this.holder.pid), "--net", "--mount"];
    const pids = `--pid=/proc/${this.holder.pid}/ns/pid_for_children`;
    // nsenter waits for its child, and would leave it behind when it is killed.
    return ["nsenter", ...target, pids, "--", "setpriv", "--pdeathsig", "KILL", ...command];
  }

  /** Runs a command inside to its end. */
  async execute(command: readonly string[], options: ExecuteOptions = {}): Promise<Result> {
    return await execute(this.enter(command), { env: testEnvironment(), ...options });
  }

  /** Like `execute`, but throws unless the command ends with 0; returns stdout. */
  async mustExecute(command: readonly string[], options: ExecuteOptions = {}): Promise<string> {
    return await mustExecute(this.enter(command), { env: testEnvironment(), ...options });
  }

  /** Starts a command inside, in the background. It ends with the namespaces: killing nsenter alone would leave it. */
  start(command: readonly string[]): Running {
    return new Running(this.enter(command), { env: testEnvironment() });
  }
}

/** A running `weir up`. */
export class TestHost {
  readonly namespace: TestNamespace;
  readonly socket: string;
  readonly folder: string;
  /** The control process, as started by nsenter. */
  control: Running;

  private constructor(namespace: TestNamespace, folder: string, control: Running) {
    this.namespace = namespace;
    this.folder = folder;
    this.socket = join(folder, "run", "api.sock");
    this.control = control;
  }

  static async start(options: TestHostOptions = {}): Promise<TestHost> {
    requireBuild();
    const folder = temporaryFolder();
    mkdirSync(join(folder, "run"), { mode: 0o700 });
    const hostToml = `state = "${folder}/state"
[api]
socket = "${folder}/run/api.sock"
[[port]]
name = "lan"
device = "${DEVICE}"
addresses = ${JSON.stringify(options.addresses ?? [`${WEIR_ADDRESS}/24`, `${WEIR_ADDRESS_V6}/64`])}
kernel_address = "${KERNEL_ADDRESS}/24"
kernel_address_v6 = "${KERNEL_ADDRESS_V6}/64"
${options.port ?? ""}
${options.tables ?? ""}
`;
    writeFileSync(join(folder, "host.toml"), hostToml);
    const namespace = await TestNamespace.create();
    if (options.prepare !== undefined) await namespace.mustExecute(options.prepare);
    const host = new TestHost(namespace, folder, TestHost.#up(namespace, folder));
    await host.ready();
    return host;
  }

  static #up(namespace: TestNamespace, folder: string): Running {
    return namespace.start(weirCommand("up", "-c", join(folder, "host.toml")));
  }

  /** Starts `weir up` again, after its end: it adopts the dataplane if that still runs. */
  async upAgain(): Promise<void> {
    this.control = TestHost.#up(this.namespace, this.folder);
    await this.ready();
  }

  /** Sends a signal to the control process and waits for its end. */
  async endControl(signal: NodeJS.Signals): Promise<void> {
    // nsenter waits for the process that it started in the process namespace.
    const control = processTree(this.control.pid).find((entry) => entry.parent === this.control.pid);
    if (control === undefined) throw new Error("the control process has ended already");
    process.kill(control.pid, signal);
    await until("the end of the control process", () => stillRunning([control]).length === 0);
  }

  async ready(): Promise<void> {
    const what = "weir up";
    const check = async () => {
      if (this.control.hasEnded) throw new Error(`${what} ended\n${this.control.stdout}${this.control.stderr}`);
      return (await this.weir("ls", "--json")).code === 0;
    };
    await until(what, check, UP_TIMEOUT_MS);
  }

  /** Runs a verb against this host. */
  async weir(...words: string[]): Promise<Result> {
    return await execute(weirCommand(...words, "--socket", this.socket), { env: testEnvironment() });
  }

  /** Runs a verb that must end with 0, and returns its JSON. */
  async json<Value>(...words: string[]): Promise<Value> {
    const output = await mustExecute(weirCommand(...words, "--json", "--socket", this.socket), {
      env: testEnvironment(),
      timeoutMs: VERB_TIMEOUT_MS,
    });
    return JSON.parse(output) as Value;
  }

  /** Deploys an app's folder; throws unless it runs. */
  async deploy(folder: string, tenant?: string): Promise<void> {
    const words = tenant === undefined ? [] : ["--tenant", tenant];
    const { app } = await this.json<{ app: { state: string; problem: string } }>("deploy", folder, ...words);
    if (app.state !== "running") throw new Error(`${folder} is ${app.state}: ${app.problem}`);
  }

  /** Waits until a TCP port of weir accepts connections from the kernel. */
  async waitForPort(port: number, timeoutMs?: number, address = WEIR_ADDRESS): Promise<void> {
    const accepts = async () =>
      (await this.namespace.execute(["nc", "-z", "-w", "1", address, String(port)])).code === 0;
    await until(`port ${port}`, accepts, timeoutMs);
  }

  /** Runs a command in the host's namespaces. */
  async execute(command: readonly string[], options: ExecuteOptions = {}): Promise<Result> {
    return await this.namespace.execute(command, options);
  }
}
