/** The simulator's seeds and the packet scripts. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { allScripts, scriptCommand } from "../drivers/script.js";
import { reproduction, runSeeds } from "../drivers/sim.js";
import { NATIVE_BUILD, STATE_FOLDER } from "../paths.js";
import { execute } from "../shell.js";
import { ninja } from "../steps/native.js";

const SEEDS = 200;

/** Results of the lines `ok FILE`, `not ok FILE: why` and `skip FILE: why`. */
export function countScripts(text, scripts) {
  const passed = [...text.matchAll(/^ok /gm)].length;
  const skipped = [...text.matchAll(/^skip /gm)].length;
  const details = [...text.matchAll(/^not ok .*/gm)].map(([line]) => line);
  // What was not run because something before it broke counts too.
  return { passed, failed: scripts - passed - skipped, detail: details.join("\n") };
}

async function play(context, progress, log, options) {
  await ninja(context, NATIVE_BUILD, ["script"], progress, log);
  const scripts = allScripts();
  progress.update(`${scripts.length} scripts, ${basename(scripts[0])} first`);
  const [program, ...args] = scriptCommand(join(NATIVE_BUILD, "script"), [...options, ...scripts]);
  const { code } = await execute(program, args, { env: context.env, log });
  const result = countScripts(readFileSync(log, "utf8"), scripts.length);
  return code !== 0 && result.failed === 0 ? { ...result, failed: 1 } : result;
}

export const simulatorRunners = [
  {
    name: "sim",
    async run(context, progress, log) {
      await ninja(context, NATIVE_BUILD, ["sim"], progress, log);
      progress.update(`${SEEDS} seeds`);
      const { failures } = await runSeeds({ program: join(NATIVE_BUILD, "sim"), first: 1, seeds: SEEDS });
      const lines = failures.map(({ seed, failure }) => `seed ${seed}: ${failure}`);
      if (failures.length > 0)
        lines.push(`once more: ${reproduction(failures[0].seed, join(STATE_FOLDER, "sim", "failure.pcap"))}`);
      return { passed: SEEDS - failures.length, failed: failures.length, detail: lines.join("\n") };
    },
  },
  {
    name: "scripts",
    run: (context, progress, log) => play(context, progress, log, []),
  },
  {
    name: "scripts-tap",
    run: (context, progress, log) => play(context, progress, log, ["--tap"]),
  },
];
