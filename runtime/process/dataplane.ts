/** Entry of the dataplane process: `node dataplane.js RUN_DIRECTORY`. It loads the addon and owns the dataplane. */
import { readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadNative, type Native } from "./native.js";
import { type DataplaneConfig, RUN_FILES } from "./protocol.js";
import { DataplaneServer } from "./server.js";
import { readTscHz } from "./tsc.js";

/** Temporary run directories have this prefix; no other is ever deleted. */
export const TEMPORARY_PREFIX = "weir-";

/** Runs a dataplane until it is told to stop: by request, by signal, or by the end of standard input. */
export async function runDataplane(native: Native, runDirectory: string): Promise<void> {
  const file = (name: keyof typeof RUN_FILES): string => join(runDirectory, RUN_FILES[name]);
  const config = JSON.parse(readFileSync(file("config"), "utf8")) as DataplaneConfig;
  let orphaned = false;
  let stop = (): void => undefined;
  const stopWanted = new Promise<void>((resolve) => {
    stop = resolve;
  });
  process.on("SIGTERM", stop).on("SIGINT", stop);
  if (!config.persistent) {
    const orphan = (): void => {
      orphaned = true;
      stop();
    };
    process.stdin.on("end", orphan).on("close", orphan).on("error", orphan).resume();
  }
  try {
    const dataplane = await native.startDataplane({
      port: config.port,
      tcp: config.tcp,
      worker: config.worker,
      countersPath: file("counters"),
    });
    const server = new DataplaneServer({ native, dataplane, config, tscHz: readTscHz(), onStop: stop });
    await server.listen(file("socket"));
    await stopWanted;
    server.close();
    await dataplane.stop();
  } finally {
    rmSync(file("socket"), { force: true });
    rmSync(file("counters"), { force: true });
    if (orphaned && config.temporary && basename(runDirectory).startsWith(TEMPORARY_PREFIX)) {
      rmSync(runDirectory, { recursive: true, force: true });
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const runDirectory = process.argv[2]!;
  process.title = `weir-dataplane ${runDirectory}`;
  try {
    await runDataplane(loadNative(), runDirectory);
    process.exit(0);
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}
