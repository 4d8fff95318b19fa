/**
 * Instructions of one echoed message over a ring, by callgrind: the same count wherever and whenever it is taken. None of
 * them may be atomic: workers share nothing in a cycle.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { countsPerMessage, withEcho } from "../../../bench/ring-echo.js";
import { NATIVE_BUILD, ROOT } from "../paths.js";
import { ninja } from "../steps/native.js";

/** Bounds a little above what was counted last: whoever needs more says so by changing the file. */
const BOUNDS = join(ROOT, "bench", "instruction-bounds.json");
const BATCH = 64;

export const instructionRunners = [
  {
    name: "instructions",
    async run(context, progress, log) {
      await ninja(context, NATIVE_BUILD, ["echo_bench"], progress, log);
      const bounds = Object.entries(JSON.parse(readFileSync(BOUNDS, "utf8")));
      return await withEcho(async (module, folder) => {
        const exceeded = [];
        for (const [handler, bound] of bounds) {
          progress.update(handler);
          const { Ir, locked } = countsPerMessage(handler, BATCH, module, folder, { withLocks: true });
          const counted = Math.round(Ir);
          if (counted > bound) {
            exceeded.push(`${handler}: ${counted} instructions for a message of 64 bytes, at most ${bound} allowed`);
          }
          if (locked !== 0) exceeded.push(`${handler}: ${locked} atomic instructions for a message, none allowed`);
        }
        return {
          passed: Math.max(0, bounds.length - exceeded.length),
          failed: exceeded.length,
          detail: exceeded.join("\n"),
        };
      });
    },
  },
];
