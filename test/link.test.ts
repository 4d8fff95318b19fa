/** `npm run link`: the simulator's link between two TAPs delays and loses what a kernel sends over it. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const BUILD = fileURLToPath(new URL("../native/build", import.meta.url));
const PINGS = 200;
/** Two namespaces, one at each end; what ping and the link say goes to stdout. Argument: the link and its options. */
const SCRIPT = `
set -e
"$@" --a linka --b linkb &
link=$!
until ip link show linkb >/dev/null 2>&1; do sleep 0.05; done
unshare --net sleep 100 &
far=$!
until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link set linkb netns $far
ip address add 10.9.0.1/24 dev linka
ip link set linka up
nsenter --target $far --net ip address add 10.9.0.2/24 dev linkb
nsenter --target $far --net ip link set linkb up
# Until the far end's link address is known.
until ping -q -c 1 -W 1 10.9.0.2 >/dev/null; do :; done
ping -q -c ${PINGS} -i 0.01 -W 1 10.9.0.2 || true
kill -TERM $link
wait $link
kill $far
`;

function pingOver(...options: string[]): string {
  const inside = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", SCRIPT];
  return execFileSync("unshare", [...inside, "link", join(BUILD, "tap_link"), ...options], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
}

test("delay and loss are those that were asked for", () => {
  execFileSync("ninja", ["-C", BUILD, "tap_link"], { stdio: "ignore" });
  const text = pingOver("--delay-ms", "10", "--loss", "0.1", "--seed", "5");
  const [, least = 0] = /min\/avg\/max\/mdev = ([\d.]+)/.exec(text)?.map(Number) ?? [];
  // Each way takes ten milliseconds and never less.
  expect(least).toBeGreaterThan(20);
  expect(least).toBeLessThan(25);
  const received = Number(/(\d+) received/.exec(text)?.[1]);
  // Of 200 echoes 162 are expected back; six standard deviations are 34.
  expect(received).toBeGreaterThan(PINGS * 0.81 - 34);
  expect(received).toBeLessThan(PINGS * 0.81 + 34);
  const counts = JSON.parse(text.slice(text.indexOf("{"))) as Record<string, Record<string, number>>;
  expect(counts["from linka"]?.["lost"]).toBeGreaterThan(0);
  expect(counts["from linkb"]?.["lost"]).toBeGreaterThan(0);
});

test("a wrong option is named", () => {
  execFileSync("ninja", ["-C", BUILD, "tap_link"], { stdio: "ignore" });
  const run =
    (...options: string[]) =>
    () =>
      execFileSync(join(BUILD, "tap_link"), options, { encoding: "utf8" });
  expect(run("--a", "x", "--b", "y", "--loss", "2")).toThrow(/--loss is a probability/);
  expect(run("--a", "x")).toThrow(/--a and --b name the TAP devices/);
  expect(run("--speed", "2")).toThrow(/unknown option --speed/);
});
