/** What `weir demo --check` proves, with real kernel clients. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { exampleFolder, loadApp } from "./app.js";
import { WEIR_ADDRESS } from "./network.js";
import type { RunningPlayground } from "./outer.js";

/** One proof: what it shows, and how. It returns its figure or throws. */
export interface Proof {
  readonly name: string;
  run(): Promise<string>;
}

const CLIENT_TIMEOUT_MS = 30_000;
const HTTP_TIMEOUT_MS = 10_000;
const PINGS = 5;
const PING_SIZES_BYTES = [0, 56, 1_000, 1_472];
const ECHO_BYTES = 1_048_576;
const PROXY_BYTES = 262_144;
const DATAGRAMS = 50;
const ECHO_PORT = 7;
const PROXY_PORT = 9_000;
const DEPLOYED_EXAMPLE = "clock";

function client(playground: RunningPlayground, command: readonly string[]): Promise<string> {
  const [program = "", ...rest] = playground.enter(command);
  return new Promise((resolve, reject) => {
    execFile(program, rest, { timeout: CLIENT_TIMEOUT_MS, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else
        reject(
          new Error(
            error.killed ? `no end after ${CLIENT_TIMEOUT_MS / 1_000} s` : (stderr || stdout || error.message).trim(),
          ),
        );
    });
  });
}

async function probe<Figures>(
  playground: RunningPlayground,
  name: string,
  port: number,
  argument = "",
): Promise<Figures> {
  const script = fileURLToPath(new URL("./probe.js", import.meta.url));
  const command = [process.execPath, script, name, WEIR_ADDRESS, String(port), argument];
  return JSON.parse(await client(playground, command)) as Figures;
}

/** Received packets and mean round trip out of ping's last lines. */
export function readPing(output: string): { received: number; meanMs: number } {
  const received = Number(/(\d+) received/.exec(output)?.[1] ?? 0);
  // Packets too short for a time stamp have no round-trip line.
  const meanMs = Number(/= [\d.]+\/([\d.]+)\//.exec(output)?.[1] ?? Number.NaN);
  return { received, meanMs };
}

async function ping(playground: RunningPlayground, bytes: number): Promise<string> {
  const command = ["ping", "-n", "-q", "-c", String(PINGS), "-i", "0.2", "-W", "2", "-s", String(bytes), WEIR_ADDRESS];
  const { received, meanMs } = readPing(await client(playground, command));
  if (received !== PINGS) throw new Error(`${received} of ${PINGS} answers`);
  return Number.isNaN(meanMs) ? `${received}/${PINGS}` : `${received}/${PINGS}, ${meanMs.toFixed(2)} ms`;
}

async function http(url: string, expected: RegExp, init: RequestInit = {}): Promise<string> {
  const startedMs = performance.now();
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(HTTP_TIMEOUT_MS) });
  const text = (await response.text()).trim();
  if (!response.ok || !expected.test(text)) throw new Error(`${response.status} ${JSON.stringify(text.slice(0, 200))}`);
  return `${response.status} ${JSON.stringify(text)}, ${(performance.now() - startedMs).toFixed(1)} ms`;
}

async function deployed(playground: RunningPlayground): Promise<string> {
  const { request, manifest } = await loadApp(exampleFolder(DEPLOYED_EXAMPLE));
  const port = manifest.listen[0]?.tcp;
  if (port === undefined) throw new Error(`example ${DEPLOYED_EXAMPLE} has no tcp listen`);
  await probe(playground, "refused", port);
  const { elapsedMs } = await playground.client.deploy(request);
  const { line } = await probe<{ line: string }>(playground, "first-line", port);
  await playground.client.remove(manifest.name);
  await probe(playground, "refused", port);
  return `in ${Math.round(elapsedMs)} ms, said ${JSON.stringify(line)}, port ${port} refuses after rm`;
}

/** The proofs in order. `baseUrl` is the relay's address on the host. */
export function proofsOf(playground: RunningPlayground, baseUrl: string): Proof[] {
  const tcp = async (name: string, port: number, bytes: number): Promise<string> => {
    const { mbitPerS } = await probe<{ mbitPerS: number }>(playground, name, port, String(bytes));
    return `${bytes.toLocaleString("en-US")} bytes identical, ${mbitPerS.toFixed(0)} Mbit/s`;
  };
  return [
    ...PING_SIZES_BYTES.map((bytes) => ({
      name: `ping ${WEIR_ADDRESS}, ${bytes} bytes`,
      run: () => ping(playground, bytes),
    })),
    {
      name: `UDP echo ${WEIR_ADDRESS}:${ECHO_PORT}`,
      async run() {
        const { count, medianMs } = await probe<{ count: number; medianMs: number }>(
          playground,
          "udp-echo",
          ECHO_PORT,
          String(DATAGRAMS),
        );
        return `${count}/${DATAGRAMS} of 0 to 1472 bytes, median ${medianMs.toFixed(2)} ms`;
      },
    },
    { name: `TCP echo ${WEIR_ADDRESS}:${ECHO_PORT}`, run: () => tcp("tcp-echo", ECHO_PORT, ECHO_BYTES) },
    { name: `GET ${baseUrl}/`, run: () => http(`${baseUrl}/`, /hello/i) },
    { name: `GET ${baseUrl}/users/7`, run: () => http(`${baseUrl}/users/7`, /"id":\s*"7"/) },
    { name: `POST ${baseUrl}/sum?n=41`, run: () => http(`${baseUrl}/sum?n=41`, /^42$/, { method: "POST" }) },
    { name: `proxy ${WEIR_ADDRESS}:${PROXY_PORT}`, run: () => tcp("greeted-echo", PROXY_PORT, PROXY_BYTES) },
    { name: `deploy ${DEPLOYED_EXAMPLE}`, run: () => deployed(playground) },
  ];
}

/** The message with that of its cause: fetch says only that it failed. */
function whyOf(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** Runs proofs one after the other and prints a line for each. Returns how many failed. */
export async function prove(proofs: readonly Proof[], print: (line: string) => void): Promise<number> {
  let failed = 0;
  for (const proof of proofs) {
    try {
      print(`✓ ${proof.name}: ${await proof.run()}`);
    } catch (error) {
      failed++;
      print(`✗ ${proof.name}: ${whyOf(error as Error)}`);
    }
  }
  return failed;
}
