/** A Native without packets, for tests of what surrounds it. Apps choose how it behaves by their vars. */
import { rmSync, writeFileSync } from "node:fs";
import type { AppEvent, AppSpec, Dataplane, Native } from "../native.js";

export const FAKE_ENGINE = "fake 1";
const WORKER_COUNTERS = [
  { name: "tsc_rx", group: "cycle", meaning: "ticks" },
  { name: "tsc_net", group: "cycle", meaning: "ticks" },
  { name: "rx_frames", group: "port", meaning: "frames received" },
  { name: "rx_batches", group: "port", meaning: "bursts" },
  { name: "drop_ip_checksum", group: "drop", meaning: "wrong checksums" },
];
const APP_COUNTERS = [
  { name: "events", group: "guest", meaning: "events consumed" },
  { name: "commands", group: "guest", meaning: "commands taken" },
];

class FakeDataplane implements Dataplane {
  private readonly apps = new Map<number, AppSpec>();
  private events: AppEvent[] = [];
  private sequence = 0;

  constructor(private readonly countersPath: string) {
    const words = WORKER_COUNTERS.length + 256 * APP_COUNTERS.length;
    const values = new BigUint64Array(words);
    for (let i = 0; i < words; i++) values[i] = BigInt(i + 1);
    writeFileSync(countersPath, new Uint8Array(values.buffer), { mode: 0o600 });
  }

  /** Vars: REJECT (message), TRAP (frames as JSON), LOG (lines to write), DIE (the process ends after so many ms). */
  async deploy(app: AppSpec): Promise<void> {
    const vars = new Map(app.vars);
    const reject = vars.get("REJECT");
    if (reject !== undefined) throw new Error(reject);
    for (const other of this.apps.values()) {
      const taken = other.listens.find(({ port }) => app.listens.some((listen) => listen.port === port));
      if (other.id !== app.id && taken !== undefined) throw new Error(`port ${taken.port} is taken`);
    }
    this.apps.set(app.id, app);
    this.push(app.id, "started", "info", "");
    for (let i = 0; i < Number(vars.get("LOG") ?? 0); i++) this.push(app.id, "log", "info", `line ${i}`);
    const trap = vars.get("TRAP");
    if (trap !== undefined) this.push(app.id, "trapped", "error", "unreachable", JSON.parse(trap));
    const die = vars.get("DIE");
    if (die !== undefined) setTimeout(() => process.kill(process.pid, "SIGKILL"), Number(die));
  }

  async remove(appId: number): Promise<void> {
    if (!this.apps.delete(appId)) throw new Error("there is no such app");
  }

  drainEvents(): AppEvent[] {
    const taken = this.events;
    this.events = [];
    return taken;
  }

  portState(): { linkAddress: string; mtuBytes: number } {
    return { linkAddress: "02:00:00:00:00:01", mtuBytes: 1500 };
  }

  connections(): { appId: number; open: number }[] {
    return [...this.apps.keys()].map((appId) => ({ appId, open: 3 }));
  }

  async stop(): Promise<void> {
    rmSync(this.countersPath, { force: true });
  }

  private push(
    appId: number,
    kind: AppEvent["kind"],
    level: AppEvent["level"],
    text: string,
    frames: AppEvent["frames"] = [],
  ): void {
    this.events.push({ sequence: ++this.sequence, timeUs: Date.now() * 1000, appId, kind, level, text, frames });
  }
}

/** Modules say as text what happens to them: refuse, crash, spin, hoard, throw, fail, warn; others are admitted. */
export function fakeNative(): Native {
  return {
    engineVersion: () => FAKE_ENGINE,
    counterDescriptions: () => WORKER_COUNTERS,
    appCounterDescriptions: () => APP_COUNTERS,
    admit(module) {
      const text = Buffer.from(module).toString("latin1");
      if (text.includes("crash")) process.abort();
      if (text.includes("spin")) for (;;);
      const hoard: Buffer[] = [];
      while (text.includes("hoard")) hoard.push(Buffer.alloc(256 * 1024 * 1024));
      if (text.includes("throw")) throw new Error("an error of the addon");
      if (text.includes("refuse")) {
        const error = {
          rule: "import-unknown",
          section: "import",
          function: 3,
          functionName: "handler/f",
          offset: 26,
          message: "the import env.system is not known",
          mend: "remove it",
        };
        return { admitted: false, report: JSON.stringify({ errors: [error], errorsLeftOut: 1 }) };
      }
      const report = JSON.stringify({ errors: [], warnings: text.includes("warn") ? ["large"] : [] });
      return { admitted: true, report, module, offsets: new Uint32Array([0, 0, 100, 80]) };
    },
    compile(module) {
      if (Buffer.from(module).toString("latin1").includes("fail")) throw new Error("too many locals");
      return Buffer.concat([Buffer.from("compiled "), module]);
    },
    async startDataplane({ port, countersPath }) {
      if (port.device === "broken0") throw new Error("no such device: broken0");
      return new FakeDataplane(countersPath);
    },
    createTestbed() {
      throw new Error("there are no packets here");
    },
  };
}
