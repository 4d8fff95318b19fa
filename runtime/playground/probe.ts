/**
 * Kernel clients for the playground's proofs, run inside its network: `node probe.js NAME HOST PORT [NUMBER]` prints one
 * JSON object with figures and ends with 0, or says on stderr what was wrong and ends with 1.
 */
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";

const CONNECT_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 10_000;
const DATAGRAM_TIMEOUT_MS = 2_000;
const MAX_DATAGRAM_BYTES = 1_472;

async function open(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  const timer = setTimeout(() => socket.destroy(new Error("connect timed out")), CONNECT_TIMEOUT_MS);
  try {
    await once(socket, "connect");
  } finally {
    clearTimeout(timer);
  }
  socket.setTimeout(IDLE_TIMEOUT_MS, () => socket.destroy(new Error(`nothing came for ${IDLE_TIMEOUT_MS / 1_000} s`)));
  return socket;
}

/** Sends random bytes, closes its side, and expects `before` and then the same bytes until the peer closes. */
async function echoStream(
  host: string,
  port: number,
  bytes: number,
  before = "",
): Promise<{ mbitPerS: number; sha256: string }> {
  const socket = await open(host, port);
  const sent = randomBytes(bytes);
  const received: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => received.push(chunk));
  const startedMs = performance.now();
  socket.end(sent);
  await once(socket, "end");
  const seconds = (performance.now() - startedMs) / 1_000;
  const all = Buffer.concat(received);
  const wanted = Buffer.concat([Buffer.from(before), sent]);
  if (!all.equals(wanted)) {
    const at = all.findIndex((byte, index) => byte !== wanted[index]);
    throw new Error(`sent ${wanted.length} bytes, got ${all.length}, first difference at ${at < 0 ? all.length : at}`);
  }
  return { mbitPerS: (bytes * 8) / seconds / 1e6, sha256: createHash("sha256").update(sent).digest("hex") };
}

/** Sends datagrams of all sizes, one after the other, and expects each of them back. */
async function echoDatagrams(host: string, port: number, count: number): Promise<{ count: number; medianMs: number }> {
  const socket = createSocket("udp4");
  socket.connect(port, host);
  await once(socket, "connect");
  const times: number[] = [];
  try {
    for (let index = 0; index < count; index++) {
      const sent = randomBytes(Math.round((index * MAX_DATAGRAM_BYTES) / Math.max(count - 1, 1)));
      const startedMs = performance.now();
      const answer = once(socket, "message", { signal: AbortSignal.timeout(DATAGRAM_TIMEOUT_MS) });
      socket.send(sent);
      const [received] = (await answer) as [Buffer];
      if (!received.equals(sent)) throw new Error(`${sent.length} bytes came back as ${received.length} other ones`);
      times.push(performance.now() - startedMs);
    }
  } finally {
    socket.close();
  }
  times.sort((a, b) => a - b);
  return { count, medianMs: times[times.length >> 1] ?? 0 };
}

/** Connects and reads until the first line is complete. */
async function firstLine(host: string, port: number): Promise<{ line: string }> {
  const socket = await open(host, port);
  let text = "";
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.includes("\n")) break;
  }
  socket.destroy();
  if (!text.includes("\n")) throw new Error("the connection ended before its first line");
  return { line: text.slice(0, text.indexOf("\n")) };
}

/** Expects a connection attempt to be refused. */
async function refused(host: string, port: number): Promise<{ refused: true }> {
  try {
    (await open(host, port)).destroy();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") return { refused: true };
    throw error;
  }
  throw new Error("a connection was accepted");
}

/** The clients by name. */
export const PROBES: Readonly<Record<string, (host: string, port: number, argument: string) => Promise<object>>> = {
  "tcp-echo": (host, port, argument) => echoStream(host, port, Number(argument)),
  "greeted-echo": async (host, port, argument) => {
    const { GREETING } = await import("./kernel-server.js");
    return await echoStream(host, port, Number(argument), GREETING);
  },
  "udp-echo": (host, port, argument) => echoDatagrams(host, port, Number(argument)),
  "first-line": firstLine,
  refused,
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name = "", host = "", port = "", argument = ""] = process.argv.slice(2);
  const probe = PROBES[name];
  try {
    if (probe === undefined) throw new Error(`no such probe: ${name}`);
    process.stdout.write(`${JSON.stringify(await probe(host, Number(port), argument))}\n`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
