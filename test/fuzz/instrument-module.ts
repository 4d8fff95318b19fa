/**
 * Inserts counters into a module: one at each place that control can come to by more than one way. A fuzzer sees by them
 * which parts of the module an input has reached. Knows the instructions that handlers may consist of (docs/abi.md).
 */

const CODE_SECTION = 10;
const PREAMBLE_BYTES = 8;

const BLOCK = 0x02;
const LOOP = 0x03;
const IF = 0x04;
const ELSE = 0x05;
const BR_IF = 0x0d;

/** An instrumented module, and where its counters are: one byte each, in its memory. */
export interface Instrumented {
  readonly wasm: Uint8Array<ArrayBuffer>;
  readonly firstAddress: number;
  readonly count: number;
}

class Reader {
  at = 0;
  constructor(readonly bytes: Uint8Array) {}

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  byte(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw new RangeError("the module ends too early");
    return byte;
  }

  /** LEB128, unsigned; only skipped over where the value is signed or wider. */
  number(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  take(bytes: number): Uint8Array {
    const taken = this.bytes.subarray(this.at, this.at + bytes);
    this.skip(bytes);
    return taken;
  }

  skip(bytes: number): void {
    this.at += bytes;
    if (this.at > this.bytes.length) throw new RangeError("the module ends too early");
  }

  numbers(count: number): void {
    for (let i = 0; i < count; i++) this.number();
  }
}

function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/** i32.const is signed: one more byte where the sign would be wrong. */
function signedLeb(value: number): number[] {
  const bytes = leb(value);
  const last = bytes.at(-1)!;
  return (last & 0x40) === 0 ? bytes : [...bytes.slice(0, -1), last | 0x80, 0];
}

/** Moves behind the immediates of an instruction (WebAssembly core specification, section 5.4). */
function skipImmediates(reader: Reader, opcode: number): void {
  switch (opcode) {
    case BLOCK:
    case LOOP:
    case IF:
    case 0x0c: // br
    case BR_IF:
    case 0x10: // call
    case 0x41: // i32.const
    case 0x42: // i64.const
      reader.number();
      return;
    case 0x0e: // br_table
      reader.numbers(reader.number() + 1);
      return;
    case 0x11: // call_indirect
      reader.numbers(2);
      return;
    case 0x1c: // select with types
      reader.numbers(reader.number());
      return;
    case 0x3f: // memory.size
    case 0x40: // memory.grow
      reader.number();
      return;
    case 0x43: // f32.const
      reader.skip(4);
      return;
    case 0x44: // f64.const
      reader.skip(8);
      return;
    case 0xfc:
      skipBulk(reader, reader.number());
      return;
    case 0xfd:
      skipVector(reader, reader.number());
      return;
  }
  // Locals, globals and tables; loads and stores.
  if (opcode >= 0x20 && opcode <= 0x26) reader.number();
  else if (opcode >= 0x28 && opcode <= 0x3e) reader.numbers(2);
  else if (opcode > 0xc4) throw new RangeError(`no handler has the instruction 0x${opcode.toString(16)}`);
}

function skipBulk(reader: Reader, opcode: number): void {
  if (opcode < 8) return; // saturating conversions
  if (opcode > 11) throw new RangeError(`no handler has the instruction 0xfc ${opcode}`);
  // memory.init and memory.copy name two things, data.drop and memory.fill one.
  reader.numbers(opcode === 8 || opcode === 10 ? 2 : 1);
}

function skipVector(reader: Reader, opcode: number): void {
  if (opcode === 12 || opcode === 13)
    reader.skip(16); // v128.const, i8x16.shuffle
  else if (opcode <= 11 || opcode === 92 || opcode === 93)
    reader.numbers(2); // loads and stores
  else if (opcode >= 21 && opcode <= 34)
    reader.skip(1); // lanes
  else if (opcode >= 84 && opcode <= 91) {
    reader.numbers(2);
    reader.skip(1);
  }
}

/** A function's body without its length, with a counter where it begins and behind each branch. */
function instrumentBody(body: Uint8Array, nextCounter: () => number): number[] {
  const reader = new Reader(body);
  for (let groups = reader.number(); groups > 0; groups--) reader.numbers(2);
  const written = [...body.subarray(0, reader.at)];
  const count = (): void => {
    const address = signedLeb(nextCounter());
    // address; address, i32.load8_u, 1, i32.add; i32.store8
    written.push(0x41, ...address, 0x41, ...address, 0x2d, 0, 0, 0x41, 1, 0x6a, 0x3a, 0, 0);
  };
  count();
  while (!reader.isAtEnd) {
    const from = reader.at;
    const opcode = reader.byte();
    skipImmediates(reader, opcode);
    for (let at = from; at < reader.at; at++) written.push(body[at]!);
    if (opcode === LOOP || opcode === IF || opcode === ELSE || opcode === BR_IF) count();
  }
  return written;
}

/** Instruments all functions of a module. Counters begin at `firstAddress` of its memory, which it must not use itself. */
export function instrument(wasm: Uint8Array, firstAddress: number): Instrumented {
  let count = 0;
  const nextCounter = (): number => firstAddress + count++;
  const reader = new Reader(wasm);
  const parts: Uint8Array[] = [reader.take(PREAMBLE_BYTES)];
  while (!reader.isAtEnd) {
    const from = reader.at;
    const id = reader.byte();
    const content = reader.take(reader.number());
    if (id !== CODE_SECTION) {
      parts.push(wasm.subarray(from, reader.at));
      continue;
    }
    const bodies = new Reader(content);
    const functions = bodies.number();
    const written: number[] = [...leb(functions)];
    for (let i = 0; i < functions; i++) {
      const body = instrumentBody(bodies.take(bodies.number()), nextCounter);
      for (const byte of leb(body.length)) written.push(byte);
      for (const byte of body) written.push(byte);
    }
    parts.push(Uint8Array.from([CODE_SECTION, ...leb(written.length)]), Uint8Array.from(written));
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { wasm: bytes, firstAddress, count };
}
