/**
 * Builds that are kept on disk: an app is not compiled again as long as all that its build read is the same. Every text is
 * compared, those that were looked for in vain too, so that what is found in a build is what building would give.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import type { BuiltApp } from "./app.js";

/** So many, the last used ones; each takes some hundred KiB. */
const MOST_BUILDS = 64;

/** What a build gave. */
export type KeptBuild = Omit<BuiltApp, "elapsedMs">;

interface Kept extends Omit<KeptBuild, "wasm"> {
  /** Path and digest of each text that was read; null for one that was not there. */
  readonly texts: readonly (readonly [string, string | null])[];
  readonly wasm: string;
}

/** SHA-256, hexadecimal. */
export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Text of a file, or null if it cannot be read. */
export async function readText(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch {
    return null;
  }
}

/** Reads texts and remembers what was in them. */
export class TextReader {
  readonly digests = new Map<string, string | null>();

  async read(file: string): Promise<string | null> {
    const text = await readText(file);
    this.digests.set(file, text === null ? null : digestOf(text));
    return text;
  }
}

/** The user's folder for builds: a part of the cache folder of the XDG base directory specification. */
export function buildsFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_CACHE_HOME;
  return join(base && isAbsolute(base) ? base : join(homedir(), ".cache"), "weir", "builds");
}

/** Kept builds in a folder, which may be deleted at any time. What cannot be read or written is not kept. */
export class KeptBuilds {
  constructor(private readonly folder = buildsFolder()) {}

  /** The build of this name, if building would give the same. */
  async find(name: string): Promise<KeptBuild | undefined> {
    const path = this.pathOf(name);
    try {
      const { texts, wasm, ...built } = JSON.parse(gunzipSync(await readFile(path)).toString()) as Kept;
      const reader = new TextReader();
      await Promise.all(texts.map(([file]) => reader.read(file)));
      const isSame = texts.every(([file, digest]) => reader.digests.get(file) === digest);
      if (!isSame) return undefined;
      const used = new Date();
      await utimes(path, used, used);
      return { ...built, wasm: new Uint8Array(Buffer.from(wasm, "base64")) };
    } catch {
      return undefined;
    }
  }

  /** Keeps what was built from the texts that `reader` read. */
  async keep(name: string, reader: TextReader, built: KeptBuild): Promise<void> {
    const wasm = Buffer.from(built.wasm).toString("base64");
    const kept: Kept = { ...built, texts: [...reader.digests], wasm };
    try {
      await mkdir(this.folder, { recursive: true, mode: 0o700 });
      const fresh = `${this.pathOf(name)}.${process.pid}`;
      await writeFile(fresh, gzipSync(JSON.stringify(kept), { level: 1 }), { mode: 0o600 });
      await rename(fresh, this.pathOf(name));
      await this.dropOldest();
    } catch {
      // The disk is full, or the folder is not ours: the next build takes its time again.
    }
  }

  private pathOf(name: string): string {
    return join(this.folder, `${name}.json.gz`);
  }

  private async dropOldest(): Promise<void> {
    const files = (await readdir(this.folder)).map((name) => join(this.folder, name));
    const used = await Promise.all(
      files.map(async (file) => ({ file, ms: (await stat(file).catch(() => undefined))?.mtimeMs ?? 0 })),
    );
    const old = used.sort((a, b) => b.ms - a.ms).slice(MOST_BUILDS);
    await Promise.all(old.map(({ file }) => rm(file, { force: true })));
  }
}
