/** Reads the counter file that the dataplane's worker writes. */
import { closeSync, openSync, readSync } from "node:fs";
import type { CounterDescription } from "./native.js";

const WORD_BYTES = 8;
/** Ids from 0 to 255; 0 is nobody's. */
export const APP_SLOTS = 256;

/** One reading. Values are exact up to 2^53. */
export interface CounterReading {
  readonly worker: ReadonlyMap<string, number>;
  /** The counters of the app with this id. */
  app(id: number): ReadonlyMap<string, number>;
}

/** The counter file of one worker. */
export class CounterFile {
  private readonly fd: number;
  private readonly buffer: Buffer;

  /** Throws when the file is not there. */
  constructor(
    path: string,
    private readonly workerCounters: readonly CounterDescription[],
    private readonly appCounters: readonly CounterDescription[],
  ) {
    this.fd = openSync(path, "r");
    this.buffer = Buffer.alloc(WORD_BYTES * (workerCounters.length + APP_SLOTS * appCounters.length));
  }

  /** Throws when the file is shorter than the descriptions say. */
  read(): CounterReading {
    const words = Buffer.from(this.buffer);
    let filled = 0;
    while (filled < words.length) {
      const got = readSync(this.fd, words, filled, words.length - filled, filled);
      if (got === 0) throw new Error(`the counter file has ${filled} bytes in place of ${words.length}`);
      filled += got;
    }
    const table = (descriptions: readonly CounterDescription[], first: number): ReadonlyMap<string, number> =>
      new Map(
        descriptions.map(({ name }, index) => [name, Number(words.readBigUInt64LE((first + index) * WORD_BYTES))]),
      );
    return {
      worker: table(this.workerCounters, 0),
      app: (id) => {
        if (!Number.isInteger(id) || id < 0 || id >= APP_SLOTS) throw new RangeError(`no app has the id ${id}`);
        return table(this.appCounters, this.workerCounters.length + id * this.appCounters.length);
      },
    };
  }

  close(): void {
    closeSync(this.fd);
  }
}
