/**
 * Says the same to two memcached servers and compares their answers, byte by byte: `node memcached-compare.js JSON` inside
 * a test's namespaces. Requests are drawn by lot from a seed. They come in batches, each on a connection of its own that ends
 * with it; what a batch stores the next ones find. Prints what it asked, or ends with the first batch that differs.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import {
  arithmeticExtras,
  encode,
  expiryExtras,
  OPCODE,
  storageExtras,
} from "../../examples/memcached/testing/binary.js";

const SILENCE_TIMEOUT_MS = 30_000;
const BATCH_REQUESTS = 40;
const KEYS = 30;
const NEVER_MADE = 0xffffffff;

/** Random numbers that are the same in every run. */
function randomOf(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What both protocols draw from. */
class Lot {
  /** Unique numbers that the servers have told. */
  uniques = [0n];

  constructor(seed) {
    this.random = randomOf(seed);
  }

  pick(...choices) {
    return choices[this.random(choices.length)];
  }

  key() {
    const number = this.random(KEYS);
    return number < 3 ? `${number}`.repeat(250) : `key-${number}`;
  }

  value() {
    const kind = this.random(20);
    if (kind < 6) return String(this.random(1_000));
    if (kind < 7) return "18446744073709551615";
    if (kind < 8) return "";
    if (kind === 8) return "x".repeat(this.random(this.pick(20_000, 70_000, 400_000)));
    if (kind < 11) return "line\r\nEND\r\n".repeat(this.random(900));
    return "v".repeat(this.random(300));
  }

  expiry() {
    return this.pick(0, 0, 0, 0, -1, 1_000, 2_592_000, 2_592_001, 1_000_000_000, 2_147_483_647);
  }

  unique() {
    return this.uniques[this.random(this.uniques.length)];
  }

  flags() {
    return this.pick(0, 1, 4_294_967_295, this.random(2 ** 31));
  }
}

/**
 * A request of the text protocol, as it goes over the wire. A batch reads or writes: while memcached holds an item for an
 * answer that it has not sent, a number that becomes shorter is stored anew instead of with blanks behind it.
 */
function textRequest(lot, reads) {
  const quiet = lot.pick("", "", "", " noreply");
  const key = lot.key();
  const stored = (verb, tail = "") => {
    const value = lot.value();
    const data = lot.random(40) === 0 ? `${value}!` : value;
    return `${verb} ${key} ${lot.flags()} ${lot.expiry()} ${Buffer.byteLength(value)}${tail}${quiet}\r\n${data}\r\n`;
  };
  switch (reads ? lot.pick(0, 3, 12, 13, 14) : lot.pick(4, 4, 6, 7, 8, 9, 9, 11, 12, 15, 16)) {
    case 0:
      return `get ${key}\r\n`;
    case 3:
      return `${lot.pick("get", "gets")} ${Array.from({ length: 1 + lot.random(12) }, () => lot.key()).join(lot.pick(" ", "  "))}\r\n`;
    case 4:
      return stored("set");
    case 6:
      return stored(lot.pick("add", "replace"));
    case 7:
      return stored(lot.pick("append", "prepend"));
    case 8:
      return stored("cas", ` ${lot.unique()}`);
    case 9:
      return `${lot.pick("incr", "decr")} ${key} ${lot.pick("1", "9", "100", "18446744073709551615", "x", "-1", "")}${quiet}\r\n`;
    case 11:
      return `delete ${key}${lot.pick("", "", " 0", " 5")}${quiet}\r\n`;
    case 12:
      return `touch ${key} ${lot.expiry()}${quiet}\r\n`;
    case 13:
      return `${lot.pick("gat", "gats")} ${lot.expiry()} ${key} ${lot.key()}\r\n`;
    case 14:
      return `gets ${key}\r\n`;
    case 15:
      return lot.random(6) === 0 ? `flush_all${lot.pick("", " 0")}${quiet}\r\n` : `delete ${key}\r\n`;
    default:
      return lot.pick(
        "\r\n",
        " \r\n",
        "get\r\n",
        "gets \r\n",
        "gat\r\n",
        "gat x a\r\n",
        "nonsense\r\n",
        "GET a\r\n",
        "set a 0 0\r\n",
        "set a x 0 1\r\nx\r\n",
        "set a 0 0 -1\r\n",
        "set a 0 0 4294967295\r\n",
        `set ${"k".repeat(251)} 0 0 1\r\nx\r\n`,
        `delete ${"k".repeat(251)}\r\n`,
        "delete\r\n",
        "delete a b c d\r\n",
        "incr a\r\n",
        "touch a\r\n",
        "touch a x\r\n",
        "flush_all x\r\n",
        "flush_all 1 2 3\r\n",
        "verbosity\r\n",
        "verbosity 1\r\n",
        "verbosity 1 2 3\r\n",
        "stats nonsense\r\n",
        "set e 1 0 1\nx\r\nget e\n",
        `set big 0 0 1100000${quiet}\r\n${"b".repeat(1_100_000)}\r\n`,
      );
  }
}

/** The same of the binary protocol. */
function binaryRequest(lot, reads) {
  const key = lot.key();
  const opaque = lot.random(2 ** 32);
  const cas = lot.random(4) === 0 ? lot.unique() : 0n;
  const { get, getk, getq, getkq, gat, gatk, gatq, gatkq } = OPCODE;
  switch (reads ? lot.pick(0, 2, 10) : lot.pick(3, 3, 6, 7, 7, 9, 10, 11, 12)) {
    case 0:
      return encode({ opcode: lot.pick(get, getk, getq, getkq), key, opaque });
    case 2:
      return encode({ opcode: lot.pick(gat, gatk, gatq, gatkq), key, opaque, extras: expiryExtras(lot.expiry()) });
    case 3: {
      const opcode = lot.pick("set", "set", "setq", "add", "addq", "replace", "replaceq");
      const extras = storageExtras(lot.flags(), lot.expiry());
      return encode({ opcode: OPCODE[opcode], key, opaque, cas, extras, value: lot.value() });
    }
    case 6: {
      const opcode = lot.pick("append", "appendq", "prepend", "prependq");
      return encode({ opcode: OPCODE[opcode], key, opaque, cas, value: lot.value() });
    }
    case 7: {
      const opcode = lot.pick("increment", "incrementq", "decrement", "decrementq");
      const delta = lot.pick(1n, 10n, 2n ** 64n - 1n);
      const extras = arithmeticExtras(delta, BigInt(lot.random(100)), lot.pick(0, 0, NEVER_MADE));
      return encode({ opcode: OPCODE[opcode], key, opaque, cas, extras });
    }
    case 9:
      return encode({ opcode: lot.pick(OPCODE.delete, OPCODE.deleteq), key, opaque, cas });
    case 10:
      return encode({ opcode: OPCODE.touch, key, opaque, extras: expiryExtras(lot.expiry()) });
    case 11:
      if (lot.random(6) > 0) return encode({ opcode: OPCODE.noop, opaque });
      return encode({ opcode: lot.pick(OPCODE.flush, OPCODE.flushq), opaque, extras: expiryExtras(0) });
    default:
      return lot.pick(
        encode({ opcode: 0x55, opaque }),
        encode({ opcode: OPCODE.stat, key: "nonsense", opaque }),
        encode({ opcode: OPCODE.set, key, opaque, extras: storageExtras(), value: "b".repeat(1_100_000) }),
      );
  }
}

/** Sends bytes in parts, half-closes, and returns all that comes. */
async function exchange({ host, port }, bytes, parts) {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  socket.setTimeout(SILENCE_TIMEOUT_MS, () => socket.destroy(new Error(`${host}: silence`)));
  await once(socket, "connect");
  const chunks = [];
  const received = (async () => {
    for await (const chunk of socket) chunks.push(chunk);
  })();
  let at = 0;
  for (const part of parts) {
    if (!socket.write(bytes.subarray(at, at + part))) await Promise.race([once(socket, "drain"), received]);
    at += part;
    await turn();
  }
  socket.end(bytes.subarray(at));
  await received;
  return Buffer.concat(chunks);
}

/** Where to cut so many bytes. */
function cuts(lot, length) {
  const parts = [];
  for (let left = length; left > 0 && parts.length < 50; ) {
    const part = 1 + lot.random(lot.pick(10, 2_000, 100_000));
    parts.push(part);
    left -= part;
  }
  return lot.pick([], parts);
}

const inShort = (bytes) => (protocol === "binary" ? bytes.toString("hex") : JSON.stringify(bytes.toString("latin1")));
const shown = (bytes, at) => inShort(bytes.subarray(Math.max(0, at - 80), at + 80));

const { protocol, seed, batches, servers } = JSON.parse(process.argv[2]);
const lot = new Lot(seed);
const request = protocol === "binary" ? binaryRequest : textRequest;
let answeredBytes = 0;
for (let batch = 0; batch < batches; batch++) {
  const reads = batch % 3 === 2;
  const requests = Array.from({ length: BATCH_REQUESTS }, () => Buffer.from(request(lot, reads)));
  const bytes = Buffer.concat(requests);
  const [ours, theirs] = await Promise.all(servers.map((server) => exchange(server, bytes, cuts(lot, bytes.length))));
  if (!ours.equals(theirs)) {
    const at = ours.findIndex((byte, i) => byte !== theirs[i]);
    const first = at < 0 ? ours.length : at;
    const asked = requests.map((each) => inShort(each.subarray(0, 100))).join("\n");
    console.error(
      `batch ${batch}, byte ${first}:\nours   ${shown(ours, first)}\ntheirs ${shown(theirs, first)}\n${asked}`,
    );
    process.exit(1);
  }
  answeredBytes += ours.length;
  if (protocol === "binary") {
    for (let at = 0; at + 24 <= ours.length; at += 24 + ours.readUInt32BE(at + 8)) {
      lot.uniques.push(ours.readBigUInt64BE(at + 16));
    }
  } else {
    for (const [, unique] of ours.toString("latin1").matchAll(/^VALUE \S+ \d+ \d+ (\d+)\r$/gm))
      lot.uniques.push(BigInt(unique));
  }
  lot.uniques = lot.uniques.slice(-KEYS);
}
console.log(JSON.stringify({ requests: batches * BATCH_REQUESTS, answeredBytes }));
