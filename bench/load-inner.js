/**
 * Inside namespaces of its own: load on weir over memif and on Linux servers over veth, in turn. Argument: {app, batch,
 * spinUs, linux, link, cases, rounds}: without an `app` there is no weir; `linux` has the command of each Linux server by its
 * name; `link`: beside them the bare link, loaded with each case's `link` options; `cases` are [{name, options, again, sides, search}] with options of the load generator, those that are added when
 * a side has seen the case before, and, if not all, the sides that are meant. `search`: {mostUs, precision, [side]: {from,
 * to}}, the highest rate is looked for. Prints the windows of each case by side, as JSON at the end.
 */
import { LINK, linkSide, linuxSide, measure, weirSide } from "./load-sides.js";
import { highestRate } from "./rate-search.js";

const { app, batch, spinUs, linux, link, cases, rounds } = JSON.parse(process.argv[2]);

const sides = app === undefined ? [] : [await weirSide(app, { batch, spinUs })];
for (const [name, command] of Object.entries(linux)) sides.push(await linuxSide(command, name));
if (link) sides.push(await linkSide());
const results = cases.map(({ name }) => ({ name, windows: Object.fromEntries(sides.map((side) => [side.name, []])) }));

const isGood = ({ refused }) => refused === undefined;
const inThousands = (values) => Math.round(Math.max(...values)).toLocaleString("en-US");

/** Where no window counts it is tried once more. */
const ATTEMPTS = 2;

/** Windows of a case, with options of its own or more. */
async function windowsOf(side, { options, again }, more = {}) {
  const windows = [];
  for (let attempt = 0; attempt < ATTEMPTS && !windows.some(isGood); attempt++) {
    const seen = again !== undefined && seenBy.get(side)?.has(again);
    windows.push(...(await measure(side, { ...options, ...(seen && again), ...more })));
    if (again !== undefined) seenBy.set(side, (seenBy.get(side) ?? new Set()).add(again));
  }
  return windows;
}
const seenBy = new Map();

async function run(side, each) {
  const windows = await windowsOf(side, each);
  const good = windows.filter(isGood).map(({ perCoreSecond }) => perCoreSecond);
  return { windows, text: good.length === 0 ? `refused: ${windows[0]?.refused}` : inThousands(good) };
}

async function search(side, each) {
  const { mostUs, precision, [side.name]: between } = each.search;
  const windows = [];
  const measureAt = async (rate) => {
    const found = await windowsOf(side, each, { rate });
    windows.push(...found.filter((window) => !isGood(window)));
    return found.filter(isGood);
  };
  const highest = await highestRate(measureAt, { mostUs, precision, ...between });
  if (highest === undefined) return { windows, text: `refused: ${windows[0]?.refused}` };
  windows.push({ highestRate: highest });
  return { windows, text: `${inThousands([highest])} a second` };
}

for (let round = 0; round < rounds; round++)
  for (const [index, each] of cases.entries())
    for (const side of sides) {
      const isMeant = side.name === LINK ? each.link !== undefined : (each.sides?.includes(side.name) ?? true);
      if (!isMeant) continue;
      const meant = side.name === LINK ? { ...each, options: { ...each.options, ...each.link } } : each;
      const { windows, text } = await (each.search === undefined ? run : search)(side, meant);
      results[index].windows[side.name].push(...windows);
      console.log(`${round + 1} of ${rounds}: ${each.name}: ${side.name} ${text}`);
    }
for (const side of sides) await side.end();
process.stdout.write(JSON.stringify(results));
