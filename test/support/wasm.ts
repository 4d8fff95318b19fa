/** Modules made by hand: a whole one that keeps to the contract, and any of its parts replaced. */

type Bytes = readonly number[];

/** What differs from the module that does nothing. Each entry is an item of its section, encoded. */
export interface ModuleParts {
  /** Types after those of weir_start (0) and weir_poll (1). */
  readonly types?: readonly Bytes[];
  /** Functions only: their number shifts the indices of what is exported. */
  readonly imports?: readonly Bytes[];
  readonly tables?: readonly Bytes[];
  readonly memory?: Bytes;
  /** Instructions of weir_start, without the end. */
  readonly start?: Bytes;
  /** Instructions of weir_poll, without the end. */
  readonly poll?: Bytes;
  readonly data?: readonly Bytes[];
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const [I32, I64, FUNCTION, END] = [0x7f, 0x7e, 0x60, 0x0b];
/** Largest memory of an app with limits.memory_mib = 1: windows and 1 MiB, pages. */
const MEMORY_PAGES = 336;

/** An unsigned LEB128 number. */
export function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** A signed LEB128 number. */
export function signed(value: number): number[] {
  const last = value >= -0x40 && value < 0x40;
  return last ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

export function name(text: string): number[] {
  const bytes = [...Buffer.from(text)];
  return [...unsigned(bytes.length), ...bytes];
}

const i32Const = (value: number) => [0x41, ...signed(value)];

/** An active data segment. */
export function dataAt(address: number, text: string): number[] {
  return [0x00, ...i32Const(address), END, ...name(text)];
}

function section(id: number, items: readonly Bytes[]): number[] {
  if (items.length === 0) return [];
  const content = [...unsigned(items.length), ...items.flat()];
  return [id, ...unsigned(content.length), ...content];
}

function body(instructions: Bytes): number[] {
  const content = [...unsigned(0), ...instructions, END];
  return [...unsigned(content.length), ...content];
}

/** The bytes of a module. */
export function moduleOf(parts: ModuleParts = {}): Buffer {
  const { types = [], imports = [], tables = [], data = [] } = parts;
  const { memory = [0x00, ...unsigned(MEMORY_PAGES)], start = [], poll = [0x42, 0x00] } = parts;
  const functions = imports.length;
  return Buffer.from([
    ...MAGIC,
    ...[0x01, 0x00, 0x00, 0x00],
    ...section(1, [[FUNCTION, 0, 0], [FUNCTION, 1, I32, 1, I64], ...types]),
    ...section(2, imports),
    ...section(3, [[0], [1]]),
    ...section(4, tables),
    ...section(5, [memory]),
    ...section(6, [[I32, 0x00, ...i32Const(1), END]]),
    ...section(7, [
      [...name("memory"), 0x02, 0],
      [...name("weir_abi"), 0x03, 0],
      [...name("weir_start"), 0x00, ...unsigned(functions)],
      [...name("weir_poll"), 0x00, ...unsigned(functions + 1)],
    ]),
    ...section(10, [body(start), body(poll)]),
    ...section(11, data),
  ]);
}
