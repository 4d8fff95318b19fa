/**
 * Kernel clients and servers for tests, plain JavaScript so that Node runs it as it is: `node kernel-peer.js ROLE JSON`
 * inside a test's namespaces. A role prints one line of JSON and ends with 0, or says on stderr what went wrong.
 */
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const SILENCE_TIMEOUT_MS = 60_000;
const DATAGRAM_TIMEOUT_MS = 10_000;
const CHUNK_BYTES = 65_536;
/** Prime, so that bytes that are left out or come twice are never at a place where they would fit. */
const PERIOD_BYTES = 1_048_573;

/** Bytes that look random and are known from their place in the stream. */
class Pattern {
  constructor(seed) {
    const blocks = [];
    for (let i = 0; i * 64 < PERIOD_BYTES; i++) blocks.push(createHash("sha512").update(`${seed} ${i}`).digest());
    this.period = Buffer.concat(blocks).subarray(0, PERIOD_BYTES);
  }

  /** Up to `length` bytes from `offset` on; fewer at the period's end. */
  at(offset, length) {
    const start = offset % PERIOD_BYTES;
    return this.period.subarray(start, Math.min(start + length, PERIOD_BYTES));
  }

  /** Throws unless `bytes` are those from `offset` on. */
  check(bytes, offset) {
    for (let done = 0; done < bytes.length; ) {
      const expected = this.at(offset + done, bytes.length - done);
      if (!bytes.subarray(done, done + expected.length).equals(expected)) {
        const first = expected.findIndex((byte, i) => byte !== bytes[done + i]);
        const there = bytes.subarray(done + first, done + first + 32);
        const at = `at ${offset + done + first}, ${first} into a chunk of ${bytes.length} at ${offset}`;
        throw new Error(`wrong bytes ${at}: ${there.toString("hex")}, known from ${this.period.indexOf(there)}`);
      }
      done += expected.length;
    }
  }
}

/** A connection whose silence is an error. */
async function open({ host, port, patienceMs = SILENCE_TIMEOUT_MS }) {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  socket.setTimeout(patienceMs, () => socket.destroy(new Error(`port ${port}: silence`)));
  await once(socket, "connect");
  return socket;
}

/** Sends `bytes` of the pattern and half-closes. */
async function sendAll(socket, pattern, bytes, hash) {
  for (let sent = 0; sent < bytes; ) {
    const chunk = pattern.at(sent, Math.min(CHUNK_BYTES, bytes - sent));
    hash?.update(chunk);
    sent += chunk.length;
    if (!socket.write(chunk)) await once(socket, "drain");
  }
  socket.end();
}

async function textOf(socket) {
  socket.setEncoding("latin1");
  let text = "";
  for await (const chunk of socket) text += chunk;
  return text;
}

/** A line from the other side, and what came with it. */
function lineOf(socket) {
  return new Promise((resolve, reject) => {
    let text = "";
    socket.on("error", reject).on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (text.includes("\n")) resolve(text);
    });
  });
}

const roles = {
  /** Streams `bytes` through an echo at once in both directions; half-closes after the last. */
  async stream({ bytes, greetingBytes = 0, ...where }) {
    const socket = await open(where);
    const pattern = new Pattern("stream");
    const [sentHash, receivedHash] = [createHash("sha256"), createHash("sha256")];
    let received = 0;
    let greeting = Buffer.alloc(0);
    const receive = async () => {
      for await (let chunk of socket) {
        const missing = greetingBytes - greeting.length;
        if (missing > 0) {
          greeting = Buffer.concat([greeting, chunk.subarray(0, missing)]);
          chunk = chunk.subarray(missing);
        }
        pattern.check(chunk, received);
        receivedHash.update(chunk);
        received += chunk.length;
      }
    };
    await Promise.all([sendAll(socket, pattern, bytes, sentHash), receive()]);
    return {
      received,
      greeting: greeting.toString("latin1"),
      sentSha256: sentHash.digest("hex"),
      receivedSha256: receivedHash.digest("hex"),
    };
  },

  /** Opens `count` connections, and when all are open sends on each and waits for each one's own echo. */
  async many({ count, bytes, ...where }) {
    const sockets = await Promise.all(Array.from({ length: count }, () => open(where)));
    const pattern = new Pattern("many");
    const exchange = async (socket, index) => {
      const message = pattern.at(index * bytes, bytes);
      const parts = [];
      socket.end(message);
      for await (const chunk of socket) parts.push(chunk);
      if (!Buffer.concat(parts).equals(message)) throw new Error(`connection ${index} got something else`);
    };
    await Promise.all(sockets.map(exchange));
    return { echoed: sockets.length };
  },

  /** Sends `bytes`, half-closes, then reads everything. */
  async "send-first"({ bytes, ...where }) {
    const socket = await open(where);
    const [text] = await Promise.all([textOf(socket), sendAll(socket, new Pattern("send-first"), bytes)]);
    return { text };
  },

  /** Waits until the other side has half-closed, and only then sends `bytes`. */
  async "send-last"({ bytes, ...where }) {
    const socket = await open(where);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    await once(socket, "end");
    const closed = once(socket, "close");
    await sendAll(socket, new Pattern("send-last"), bytes);
    const [hadError] = await closed;
    return { text, hadError };
  },

  /** Sends text as it is and returns what comes until the other side closes. */
  async exchange({ text, ...where }) {
    const socket = await open(where);
    socket.end(text);
    return { text: await textOf(socket) };
  },

  /** Asks for a page `count` times, each on a connection that the server closes. */
  async "fetch-again"({ count, ...where }) {
    for (let i = 0; i < count; i++) {
      const socket = await open(where);
      socket.write("GET /users/7 HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n");
      const text = await textOf(socket);
      if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(`answer ${i} is ${JSON.stringify(text.slice(0, 100))}`);
      socket.end();
    }
    return { fetched: count };
  },

  /** Sends text and returns the first line; the connection may be reset before one comes. */
  async line({ text, ...where }) {
    try {
      const socket = await open(where);
      socket.write(text);
      const closed = once(socket, "close").then(() => null);
      const line = await Promise.race([lineOf(socket), closed]);
      socket.destroy();
      return { line };
    } catch (error) {
      if (error.code === "ECONNRESET" || error.code === "EPIPE") return { line: null };
      throw error;
    }
  },

  /** Resets `count` connections, each in the middle of a stream (SO_LINGER 0). */
  async reset({ count, bytes, ...where }) {
    const pattern = new Pattern("reset");
    for (let i = 0; i < count; i++) {
      const socket = await open(where);
      for (let sent = 0; sent < bytes; sent += CHUNK_BYTES) socket.write(pattern.at(sent, CHUNK_BYTES));
      await once(socket, "data");
      const closed = once(socket, "close");
      socket.resetAndDestroy();
      await closed;
    }
    return { count };
  },

  /** Sends a datagram of each size and waits for its echo. */
  async datagrams({ host, port, sizes, timeoutMs = DATAGRAM_TIMEOUT_MS }) {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    const pattern = new Pattern("datagrams");
    for (const [index, size] of sizes.entries()) {
      const message = pattern.at(index, size);
      const echo = once(socket, "message", { signal: AbortSignal.timeout(timeoutMs) });
      socket.send(message, port, host);
      const [data] = await echo.catch(() => {
        throw new Error(`no echo of ${size} bytes`);
      });
      if (!data.equals(message)) throw new Error(`${size} bytes came back as ${data.length} others`);
    }
    socket.close();
    return { echoed: sizes.length };
  },

  /** Echoes on `count` connections for ever. Each line on stdin is answered with the rounds so far, the end of stdin ends it. */
  async steady({ count, ...where }) {
    const pattern = new Pattern("steady");
    let rounds = 0;
    let stopped = false;
    const exchange = async (socket, index) => {
      let [sent, received] = [0, 0];
      let wake = () => {};
      socket.on("data", (chunk) => {
        try {
          pattern.check(chunk, received);
        } catch (error) {
          socket.destroy(error);
        }
        received += chunk.length;
        wake();
      });
      const ended = new Promise((_, reject) => {
        socket.on("error", reject).on("end", () => reject(new Error(`connection ${index} ended by itself`)));
      });
      ended.catch(() => {});
      while (!stopped) {
        const message = pattern.at(sent, 1 + ((rounds * 7919 + index) % 16_384));
        sent += message.length;
        socket.write(message);
        while (received < sent) {
          const more = new Promise((resolve) => {
            wake = resolve;
          });
          await Promise.race([more, ended]);
        }
        rounds++;
        await Promise.race([sleep(2), ended]);
      }
      socket.destroy();
    };
    const sockets = await Promise.all(Array.from({ length: count }, () => open(where)));
    const lines = createInterface({ input: process.stdin });
    const report = () => console.log(JSON.stringify({ rounds }));
    lines.on("line", report).on("close", () => {
      stopped = true;
    });
    report();
    await Promise.all(sockets.map(exchange));
    return { rounds };
  },

  /** Sends text, waits for its echo, and keeps the connection; every line on stdin is sent, every chunk that comes printed. */
  async talk(where) {
    const socket = await open(where);
    socket.on("data", (chunk) => console.log(JSON.stringify({ data: chunk.toString("latin1") })));
    console.log(JSON.stringify({ connected: true }));
    createInterface({ input: process.stdin })
      .on("line", (line) => socket.write(line))
      .on("close", () => socket.end());
    await once(socket, "close");
    return { closed: true };
  },

  /** A kernel server: greets, then echoes; until stdin ends. */
  async serve({ host, port, greeting }) {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      socket.write(greeting);
      socket.pipe(socket);
    });
    server.listen(port, host);
    await once(server, "listening");
    console.log(JSON.stringify({ listening: port }));
    await once(process.stdin.resume(), "end");
    process.exit(0);
  },
};

const [role = "", parameters = "{}"] = process.argv.slice(2);
try {
  const found = JSON.stringify(await roles[role](JSON.parse(parameters)));
  process.stdout.write(`${found}\n`, () => process.exit(0));
} catch (error) {
  console.error(`${role}: ${error.code ?? ""} ${error.message}`);
  process.exit(1);
}
