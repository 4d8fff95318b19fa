/** A host with a fake dataplane in a process of its own: `host-process.js RUN_DIRECTORY persistent|temporary`. */
import { join } from "node:path";
import { hostConfigSchema } from "../../config/host-config.js";
import { FAKE_ENTRIES } from "../../process/testing/entries.js";
import { startHost } from "../host.js";

const runDirectory = process.argv[2]!;
const persistent = process.argv[3] === "persistent";
startHost({
  config: hostConfigSchema.parse({}),
  runDirectory,
  stateDirectory: join(runDirectory, "state"),
  persistent,
  temporary: !persistent,
  entries: FAKE_ENTRIES,
}).then(
  () => console.log("ready"),
  (error: Error) => {
    console.log(`failed: ${error.message}`);
    process.exit(1);
  },
);
