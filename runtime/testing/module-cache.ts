/**
 * Apps built and compiled for tests. A test file usually starts its app many times, and `weir test` runs several files:
 * as long as no source has changed, all of them share one build.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { admitModule } from "../admit/admit.js";
import { buildApp } from "../build/index.js";

/** Names the folder that several processes share; it is theirs to make and to delete. */
export const CACHE_VARIABLE = "WEIR_TEST_CACHE";

export interface ModuleRequest {
  /** The app's folder, absolute. */
  readonly directory: string;
  readonly main: string;
  /** Optimized, as a host would get it. */
  readonly release: boolean;
  readonly memoryPages: number;
}

/** A module that can be deployed. */
export interface CachedModule {
  readonly compiledPath: string;
  /** Pairs (offset in the rewritten module, offset in the original). */
  readonly offsets: Uint32Array;
  readonly sourceMap: string;
}

interface Index {
  /** Files that went in, and the digests of their contents. */
  readonly inputs: readonly (readonly [file: string, digest: string])[];
  readonly folder: string;
}

const FILES = { compiled: "compiled.bin", offsets: "offsets.bin", sourceMap: "source.map" } as const;
const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

/** Temporary caches have this prefix; no other is ever deleted. */
export const TEMPORARY_PREFIX = "weir-testing-";

/** Builds of one folder. Processes may share it: an entry is complete from the moment its index names it. */
export class ModuleCache {
  private readonly working = new Map<string, Promise<CachedModule>>();
  private temporary = "";

  /** Without a directory it makes a temporary one for its first build. */
  constructor(private readonly directory = process.env[CACHE_VARIABLE]) {}

  /** The temporary folder that somebody has to delete; "" while there is none. */
  get temporaryFolder(): string {
    return this.temporary;
  }

  /** The compiled module. Rejects with BuildError or RefusedError. */
  get(request: ModuleRequest): Promise<CachedModule> {
    const key = sha256(JSON.stringify([request.directory, request.main, request.release, request.memoryPages]));
    const result = (this.working.get(key) ?? Promise.resolve())
      .catch(() => undefined)
      .then(async () => (await this.find(key)) ?? (await this.make(key, request)));
    this.working.set(key, result);
    return result;
  }

  private async find(key: string): Promise<CachedModule | undefined> {
    try {
      const { inputs, folder } = JSON.parse(await readFile(this.indexPath(key), "utf8")) as Index;
      for (const [file, digest] of inputs) {
        if (sha256(await readFile(file)) !== digest) return undefined;
      }
      const offsets = new Uint32Array(new Uint8Array(await readFile(join(folder, FILES.offsets))).buffer);
      const sourceMap = await readFile(join(folder, FILES.sourceMap), "utf8");
      return { compiledPath: join(folder, FILES.compiled), offsets, sourceMap };
    } catch {
      // Not there, or a source is gone: the build will say so.
      return undefined;
    }
  }

  private async make(key: string, { directory, main, release, memoryPages }: ModuleRequest): Promise<CachedModule> {
    const { wasm, sourceMap, watched } = await buildApp({ directory, config: { main }, debug: !release });
    const inputs = await Promise.all(watched.map(async (file) => [file, sha256(await readFile(file))] as const));
    const { compiled, offsets } = await admitModule(wasm, { memoryPages });
    if (this.directory === undefined && this.temporary === "") {
      this.temporary = await mkdtemp(join(tmpdir(), TEMPORARY_PREFIX));
    }
    const folder = join(this.place, randomBytes(8).toString("hex"));
    await mkdir(folder, { mode: 0o700 });
    const compiledPath = join(folder, FILES.compiled);
    await writeFile(compiledPath, compiled);
    await writeFile(
      join(folder, FILES.offsets),
      new Uint8Array(offsets.buffer, offsets.byteOffset, offsets.byteLength),
    );
    await writeFile(join(folder, FILES.sourceMap), sourceMap);
    const index: Index = { inputs, folder };
    await writeFile(join(folder, "index.json"), JSON.stringify(index));
    await rename(join(folder, "index.json"), this.indexPath(key));
    return { compiledPath, offsets, sourceMap };
  }

  private get place(): string {
    return this.directory ?? this.temporary;
  }

  private indexPath(key: string): string {
    return join(this.place, `${key}.json`);
  }
}
