/**
 * Compiled modules, each in a folder named after the digest of all that its content depends on. A folder is complete
 * from the moment it has its name; what a crash leaves unfinished is deleted at the next start.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { syncDirectory, writeFileSynced } from "../process/files.js";

const FORMAT = 1;
const UNFINISHED_PREFIX = "unfinished-";
const FILES = {
  meta: "meta.json",
  input: "input.wasm",
  compiled: "compiled.bin",
  offsets: "offsets.bin",
  sourceMap: "source.map",
} as const;

/** All that a compiled module depends on. */
export interface StoreInput {
  readonly wasm: Uint8Array;
  /** "" for none. */
  readonly sourceMap: string;
  readonly memoryPages: number;
  readonly engineVersion: string;
}

/** What admission made of the input. */
export interface StoreOutput {
  readonly compiled: Uint8Array;
  /** Pairs (offset in the rewritten module, offset in the original). */
  readonly offsets: Uint32Array;
}

/** A module in the store. */
export interface StoreEntry {
  readonly key: string;
  readonly compiledPath: string;
}

interface Meta {
  readonly format: number;
  readonly compiledSha256: string;
  readonly memoryPages: number;
  readonly engineVersion: string;
}

const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

/** The name under which the store keeps what becomes of `input`. */
export function storeKey(input: StoreInput): string {
  const parts = [FORMAT, sha256(input.wasm), sha256(input.sourceMap), input.memoryPages, input.engineVersion];
  return sha256(JSON.stringify(parts));
}

/** A store in one directory, used by one process. */
export class ModuleStore {
  private constructor(
    private readonly directory: string,
    private readonly maxBytes: number,
  ) {}

  /** Opens or makes the store. `maxBytes` bounds what it keeps beside what is in use. */
  static async open(directory: string, maxBytes: number): Promise<ModuleStore> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) {
      if (name.startsWith(UNFINISHED_PREFIX)) await rm(join(directory, name), { recursive: true, force: true });
    }
    return new ModuleStore(directory, maxBytes);
  }

  /** The entry of `key` if it is there and its compiled module is the one that was put; marks it as used. */
  async get(key: string): Promise<StoreEntry | undefined> {
    const folder = join(this.directory, key);
    const compiledPath = join(folder, FILES.compiled);
    try {
      const meta = JSON.parse(await readFile(join(folder, FILES.meta), "utf8")) as Meta;
      if (meta.format === FORMAT && sha256(await readFile(compiledPath)) === meta.compiledSha256) {
        const now = new Date();
        await utimes(folder, now, now);
        return { key, compiledPath };
      }
    } catch {
      // Not there, or damaged: both mean that it has to be made again.
    }
    return undefined;
  }

  /** Keeps what admission made of `input`. */
  async put(input: StoreInput, output: StoreOutput): Promise<StoreEntry> {
    const key = storeKey(input);
    const unfinished = join(this.directory, `${UNFINISHED_PREFIX}${randomBytes(8).toString("hex")}`);
    const meta: Meta = {
      format: FORMAT,
      compiledSha256: sha256(output.compiled),
      memoryPages: input.memoryPages,
      engineVersion: input.engineVersion,
    };
    const { buffer, byteOffset, byteLength } = output.offsets;
    await mkdir(unfinished, { mode: 0o700 });
    try {
      await writeFileSynced(join(unfinished, FILES.input), input.wasm);
      await writeFileSynced(join(unfinished, FILES.compiled), output.compiled);
      await writeFileSynced(join(unfinished, FILES.offsets), new Uint8Array(buffer, byteOffset, byteLength));
      await writeFileSynced(join(unfinished, FILES.sourceMap), input.sourceMap);
      await writeFileSynced(join(unfinished, FILES.meta), JSON.stringify(meta));
      await syncDirectory(unfinished);
      await this.discard(key);
      await rename(unfinished, join(this.directory, key));
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      throw error;
    }
    await syncDirectory(this.directory);
    return { key, compiledPath: join(this.directory, key, FILES.compiled) };
  }

  /** The module and source map that `key` was made of, to make it again; undefined when they are not there. */
  async input(key: string): Promise<StoreInput | undefined> {
    const folder = join(this.directory, key);
    try {
      const meta = JSON.parse(await readFile(join(folder, FILES.meta), "utf8")) as Meta;
      const wasm = await readFile(join(folder, FILES.input));
      const sourceMap = await readFile(join(folder, FILES.sourceMap), "utf8");
      const input = { wasm, sourceMap, memoryPages: meta.memoryPages, engineVersion: meta.engineVersion };
      return storeKey(input) === key ? input : undefined;
    } catch {
      return undefined;
    }
  }

  /** What maps places in the compiled module to source text. Empty when the entry is not there. */
  async maps(key: string): Promise<{ offsets: Uint32Array; sourceMap: string }> {
    const folder = join(this.directory, key);
    try {
      const bytes = await readFile(join(folder, FILES.offsets));
      const offsets = new Uint32Array(new Uint8Array(bytes).buffer);
      return { offsets, sourceMap: await readFile(join(folder, FILES.sourceMap), "utf8") };
    } catch {
      return { offsets: new Uint32Array(0), sourceMap: "" };
    }
  }

  /** Deletes what was not used for longest, until the rest beside `inUse` fits the bound. */
  async evict(inUse: ReadonlySet<string>): Promise<void> {
    const unused: { key: string; bytes: number; usedMs: number }[] = [];
    for (const key of await readdir(this.directory)) {
      if (inUse.has(key) || key.startsWith(UNFINISHED_PREFIX)) continue;
      const folder = join(this.directory, key);
      let bytes = 0;
      for (const file of await readdir(folder)) bytes += (await stat(join(folder, file))).size;
      unused.push({ key, bytes, usedMs: (await stat(folder)).mtimeMs });
    }
    let total = unused.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { key, bytes } of unused.sort((a, b) => a.usedMs - b.usedMs)) {
      if (total <= this.maxBytes) return;
      await this.discard(key);
      total -= bytes;
    }
  }

  /** The rename makes the deletion one step: nobody ever sees half an entry under its name. */
  private async discard(key: string): Promise<void> {
    const doomed = join(this.directory, `${UNFINISHED_PREFIX}${randomBytes(8).toString("hex")}`);
    try {
      await rename(join(this.directory, key), doomed);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
    await rm(doomed, { recursive: true, force: true });
  }
}
