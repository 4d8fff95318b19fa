/** Admission, one module at a time, with the store in front of it. */
import { type AdmitOptions, admitModule } from "../admit/admit.js";
import { RefusedError } from "../admit/report.js";
import { type ModuleStore, type StoreEntry, type StoreInput, storeKey } from "../admit/store.js";
import { HostError } from "./errors.js";

/** Modules that wait for admission at most. */
const MAX_WAITING = 16;

/** A module that can be deployed. */
export interface Admitted {
  readonly entry: StoreEntry;
  readonly warnings: readonly string[];
}

/** Bounds how much is compiled at once: the dataplane needs the machine. */
export class AdmissionQueue {
  private waiting = 0;
  private tail: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly store: ModuleStore,
    private readonly options: Omit<AdmitOptions, "memoryPages">,
  ) {}

  /** The compiled module for `input`, from the store or made now. Rejects with HostError. */
  async admit(input: StoreInput): Promise<Admitted> {
    if (this.waiting >= MAX_WAITING) {
      throw new HostError("busy", `${MAX_WAITING} modules wait to be checked already`, "try again in a moment");
    }
    this.waiting++;
    const result = this.tail.then(() => this.admitNow(input));
    this.tail = result.catch(() => undefined);
    try {
      return await result;
    } finally {
      this.waiting--;
    }
  }

  private async admitNow(input: StoreInput): Promise<Admitted> {
    const stored = await this.store.get(storeKey(input));
    if (stored !== undefined) return { entry: stored, warnings: [] };
    try {
      const admitted = await admitModule(input.wasm, { ...this.options, memoryPages: input.memoryPages });
      if (admitted.engineVersion !== input.engineVersion) {
        throw new HostError(
          "refused",
          `the dataplane runs engine ${input.engineVersion}, the addon on disk is ${admitted.engineVersion}`,
          "start weir up again, so that both are the same",
        );
      }
      return { entry: await this.store.put(input, admitted), warnings: admitted.report.warnings };
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      const problems = error.problems.map(({ rule, message, place, hint }) => ({
        file: place === "" ? undefined : place,
        message: `${message} [${rule}]`,
        hint,
      }));
      throw new HostError("refused", error.message, error.hint, problems);
    }
  }
}
