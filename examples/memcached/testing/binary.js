/** Requests and answers of the binary protocol, for tests: plain JavaScript, so that Node runs it as it is. */

export const OPCODE = {
  get: 0x00,
  set: 0x01,
  add: 0x02,
  replace: 0x03,
  delete: 0x04,
  increment: 0x05,
  decrement: 0x06,
  quit: 0x07,
  flush: 0x08,
  getq: 0x09,
  noop: 0x0a,
  version: 0x0b,
  getk: 0x0c,
  getkq: 0x0d,
  append: 0x0e,
  prepend: 0x0f,
  stat: 0x10,
  setq: 0x11,
  addq: 0x12,
  replaceq: 0x13,
  deleteq: 0x14,
  incrementq: 0x15,
  decrementq: 0x16,
  quitq: 0x17,
  flushq: 0x18,
  appendq: 0x19,
  prependq: 0x1a,
  verbosity: 0x1b,
  touch: 0x1c,
  gat: 0x1d,
  gatq: 0x1e,
  gatk: 0x23,
  gatkq: 0x24,
};

const HEAD_BYTES = 24;

/**
 * A request as it goes over the wire: an opcode, and what else it has of a key, extras, a value, a unique number and an
 * opaque one. Keys and values are text of one byte a character, or bytes.
 *
 * @param {{ opcode: number, key?: string, extras?: Buffer, value?: string | Buffer, cas?: bigint, opaque?: number }} request
 * @returns {Buffer}
 */
export function encode(request) {
  const key = Buffer.from(request.key ?? "", "latin1");
  const extras = request.extras ?? Buffer.alloc(0);
  const value =
    typeof request.value === "string" ? Buffer.from(request.value, "latin1") : (request.value ?? Buffer.alloc(0));
  const head = Buffer.alloc(HEAD_BYTES);
  head[0] = 0x80;
  head[1] = request.opcode;
  head.writeUInt16BE(key.length, 2);
  head[4] = extras.length;
  head.writeUInt32BE(extras.length + key.length + value.length, 8);
  head.writeUInt32BE(request.opaque ?? 0, 12);
  head.writeBigUInt64BE(request.cas ?? 0n, 16);
  return Buffer.concat([head, extras, key, value]);
}

/** Flags and expiry (seconds) of set, add and replace. */
export function storageExtras(flags = 0, expiry = 0) {
  const extras = Buffer.alloc(8);
  extras.writeUInt32BE(flags, 0);
  extras.writeUInt32BE(expiry >>> 0, 4);
  return extras;
}

/**
 * Delta, initial value and expiry (seconds) of increment and decrement.
 *
 * @param {bigint} delta
 */
export function arithmeticExtras(delta, initial = 0n, expiry = 0) {
  const extras = Buffer.alloc(20);
  extras.writeBigUInt64BE(delta, 0);
  extras.writeBigUInt64BE(initial, 8);
  extras.writeUInt32BE(expiry >>> 0, 16);
  return extras;
}

/**
 * The expiry (seconds) of touch, gat and flush.
 *
 * @param {number} expiry
 */
export function expiryExtras(expiry) {
  const extras = Buffer.alloc(4);
  extras.writeUInt32BE(expiry >>> 0, 0);
  return extras;
}

/** Reads an answer from the start of `bytes`; undefined if it is not all there. */
function decode(bytes) {
  if (bytes.length < HEAD_BYTES) return undefined;
  if (bytes[0] !== 0x81) throw new Error(`no answer begins with ${bytes[0]}`);
  const length = HEAD_BYTES + bytes.readUInt32BE(8);
  if (bytes.length < length) return undefined;
  const keyAt = HEAD_BYTES + bytes.readUInt8(4);
  const valueAt = keyAt + bytes.readUInt16BE(2);
  const response = {
    opcode: bytes.readUInt8(1),
    status: bytes.readUInt16BE(6),
    opaque: bytes.readUInt32BE(12),
    cas: bytes.readBigUInt64BE(16),
    extras: bytes.subarray(HEAD_BYTES, keyAt),
    key: bytes.toString("latin1", keyAt, valueAt),
    value: bytes.toString("latin1", valueAt, length),
  };
  return { response, length };
}

/**
 * All answers in `bytes`. Throws when they do not end with a whole one.
 *
 * @param {Uint8Array} bytes
 */
export function decodeAll(bytes) {
  const responses = [];
  for (let rest = Buffer.from(bytes); rest.length > 0; ) {
    const next = decode(rest);
    if (next === undefined) throw new Error(`${rest.length} bytes of an answer are left`);
    responses.push(next.response);
    rest = rest.subarray(next.length);
  }
  return responses;
}
