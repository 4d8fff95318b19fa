/** Reads the counter file that the dataplane's workers write. */
import { closeSync, openSync, readSync } from "node:fs";
import type { CounterDescription } from "./native.js";

const WORD_BYTES = 8;
/** Ids from 0 to 255; 0 is nobody's. */
export const APP_SLOTS = 256;

/** One reading. Values are exact up to 2^53. */
export interface CounterReading {
  /** Of each worker. */
  readonly workers: readonly ReadonlyMap<string, number>[];
  /** Of all workers together. */
  readonly total: ReadonlyMap<string, number>;
  /** The counters of the app with this id, of all workers together. */
  app(id: number): ReadonlyMap<string, number>;
}

/** The counter file of a dataplane. */
export class CounterFile {
  private readonly fd: number;
  private readonly wordsOfWorker: number;

  /** Throws when the file is not there. */
  constructor(
    path: string,
    private readonly workerCounters: readonly CounterDescription[],
    private readonly appCounters: readonly CounterDescription[],
    private readonly workerCount: number,
  ) {
    this.fd = openSync(path, "r");
    this.wordsOfWorker = workerCounters.length + APP_SLOTS * appCounters.length;
  }

  /** Throws when the file is shorter than the descriptions say. */
  read(): CounterReading {
    const words = Buffer.alloc(WORD_BYTES * this.wordsOfWorker * this.workerCount);
    let filled = 0;
    while (filled < words.length) {
      const got = readSync(this.fd, words, filled, words.length - filled, filled);
      if (got === 0) throw new Error(`the counter file has ${filled} bytes in place of ${words.length}`);
      filled += got;
    }
    const indices = Array.from({ length: this.workerCount }, (_, index) => index);
    const table = (descriptions: readonly CounterDescription[], first: number, workers: readonly number[]) => {
      const word = (worker: number, at: number): number =>
        Number(words.readBigUInt64LE((worker * this.wordsOfWorker + first + at) * WORD_BYTES));
      return new Map(
        descriptions.map(({ name }, at) => [name, workers.reduce((sum, worker) => sum + word(worker, at), 0)]),
      );
    };
    return {
      workers: indices.map((worker) => table(this.workerCounters, 0, [worker])),
      total: table(this.workerCounters, 0, indices),
      app: (id) => {
        if (!Number.isInteger(id) || id < 0 || id >= APP_SLOTS) throw new RangeError(`no app has the id ${id}`);
        return table(this.appCounters, this.workerCounters.length + id * this.appCounters.length, indices);
      },
    };
  }

  close(): void {
    closeSync(this.fd);
  }
}
