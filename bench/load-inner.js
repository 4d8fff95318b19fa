/**
 * Inside namespaces of its own: load on weir over memif and, if asked for, on a Linux server over veth, in turn. Argument:
 * {app, batch, linux, cases, rounds}: `linux` is the command of the server, `cases` are [{name, options}] with options of
 * the load generator. Prints the windows of each case by side, as JSON at the end.
 */
import { linuxSide, measure, weirSide } from "./load-sides.js";

const { app, batch, linux, cases, rounds } = JSON.parse(process.argv[2]);

const sides = [await weirSide(app, { batch })];
if (linux !== undefined) sides.push(await linuxSide(linux));
const results = cases.map(({ name }) => ({ name, weir: [], Linux: [] }));
for (let round = 0; round < rounds; round++)
  for (const [index, { name, options, sides: only }] of cases.entries())
    for (const side of sides) {
      if (only !== undefined && !only.includes(side.name)) continue;
      const windows = await measure(side, options);
      results[index][side.name].push(...windows);
      const good = windows.filter(({ refused }) => refused === undefined).map((each) => each.perCoreSecond);
      const text =
        good.length === 0 ? `refused: ${windows[0]?.refused}` : Math.round(Math.max(...good)).toLocaleString("en-US");
      console.log(`${round + 1} of ${rounds}: ${name}: ${side.name} ${text}`);
    }
for (const side of sides) await side.end();
process.stdout.write(JSON.stringify(results));
