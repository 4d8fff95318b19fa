/**
 * A client that connects again and again for so many seconds: each connection sends random bytes through an echo and compares
 * what comes back. Prints {"attempts", "ok", "connectMs": [...], "transferMs": [...], "errors": [...]}.
 * Arguments: address, port, bytes, seconds.
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";

const [host = "", port = "", bytes = "", seconds = ""] = process.argv.slice(2);
const PAUSE_MS = 20;
/** A connection that takes longer has failed. */
const PATIENCE_MS = 30_000;

const found = { attempts: 0, ok: 0, connectMs: [], transferMs: [], errors: [] };
const content = randomBytes(Number(bytes));
const digest = createHash("sha256").update(content).digest("hex");
const end = performance.now() + Number(seconds) * 1_000;

async function transfer() {
  const begun = performance.now();
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("silence")));
  await once(socket, "connect");
  const connected = performance.now();
  const hash = createHash("sha256");
  socket.end(content);
  for await (const chunk of socket) hash.update(chunk);
  if (hash.digest("hex") !== digest) throw new Error("other bytes came back");
  found.connectMs.push(connected - begun);
  found.transferMs.push(performance.now() - connected);
}

while (performance.now() < end) {
  found.attempts++;
  try {
    await transfer();
    found.ok++;
  } catch (error) {
    if (found.errors.length < 10) found.errors.push(error.message);
  }
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
process.stdout.write(JSON.stringify(found));
