/** Runs a target in JavaScript: node main.js ADDON TARGET COUNTERS [libFuzzer's arguments]. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { COUNTERS } from "./counters.js";

const [addonPath, targetPath, count, ...args] = process.argv.slice(2);
const addon = createRequire(import.meta.url)(addonPath);
globalThis[COUNTERS] = addon.counters(Number(count));
const target = await import(pathToFileURL(targetPath));
target.useCounters?.(addon.counters);
addon.run(args, target.fuzz);
