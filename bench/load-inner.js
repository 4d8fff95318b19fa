/**
 * Inside namespaces of its own: load on weir over memif and on Linux servers over veth, in turn. Argument: {app, batch,
 * spinUs, linux, cases, rounds}: without an `app` there is no weir; `linux` has the command of each Linux server by its
 * name; `cases` are [{name, options, sides, search}] with options of the load generator and, if not all, the sides that are
 * meant. `search`: {mostUs, from, to}, the highest rate is looked for. Prints the windows of each case by side, as JSON at
 * the end.
 */
import { linuxSide, measure, weirSide } from "./load-sides.js";
import { highestRate } from "./rate-search.js";

const { app, batch, spinUs, linux, cases, rounds } = JSON.parse(process.argv[2]);

const sides = app === undefined ? [] : [await weirSide(app, { batch, spinUs })];
for (const [name, command] of Object.entries(linux)) sides.push(await linuxSide(command, name));
const results = cases.map(({ name }) => ({ name, windows: Object.fromEntries(sides.map((side) => [side.name, []])) }));

const isGood = ({ refused }) => refused === undefined;
const inThousands = (values) => Math.round(Math.max(...values)).toLocaleString("en-US");

/** Where no window counts it is tried again. */
const ATTEMPTS = 3;

async function run(side, options) {
  const windows = [];
  for (let attempt = 0; attempt < ATTEMPTS && !windows.some(isGood); attempt++)
    windows.push(...(await measure(side, options)));
  const good = windows.filter(isGood).map((each) => each.perCoreSecond);
  return { windows, text: good.length === 0 ? `refused: ${windows[0]?.refused}` : inThousands(good) };
}

async function search(side, options, { mostUs, ...between }) {
  const measureAt = async (rate) => {
    const windows = await measure(side, { ...options, rate });
    return windows.filter(isGood);
  };
  const rate = await highestRate(measureAt, { mostUs, ...between[side.name] });
  return { windows: [{ highestRate: rate }], text: `${inThousands([rate])} a second` };
}

for (let round = 0; round < rounds; round++)
  for (const [index, each] of cases.entries())
    for (const side of sides) {
      if (each.sides !== undefined && !each.sides.includes(side.name)) continue;
      const given = each.search === undefined ? run(side, each.options) : search(side, each.options, each.search);
      const { windows, text } = await given;
      results[index].windows[side.name].push(...windows);
      console.log(`${round + 1} of ${rounds}: ${each.name}: ${side.name} ${text}`);
    }
for (const side of sides) await side.end();
process.stdout.write(JSON.stringify(results));
