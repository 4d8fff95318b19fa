/** Where an app's imports are found: the SDK that belongs to this host, the app's own files, its node_modules. */
import { createRequire } from "node:module";
import { dirname, join, relative, resolve as resolvePath, sep } from "node:path";
import type { Compiler, Resolve } from "./compiler.js";
import type { TextReader } from "./kept-builds.js";

/** Folder of the package @weir/guest that this host was installed with. */
export function guestDirectory(): string {
  return dirname(createRequire(import.meta.url).resolve("@weir/guest/package.json"));
}

/** Internal paths of what is compiled begin with this unless they are the app's own files. */
const LIBRARY = "~lib/";
const SDK = "~lib/@weir/guest/";

/** An import that would bring a second copy of the SDK, in which `listen` fills a table that nobody reads. */
export class SecondSdkError extends Error {
  constructor(
    readonly file: string,
    readonly dependee: string,
  ) {
    super("this file belongs to @weir/guest and is imported by its path");
  }
}

/** A resolver for an app in `directory`, which reads all texts through `reader`. */
export function resolver(compiler: Compiler, directory: string, guest: string, reader: TextReader): Resolve {
  const packageFolders = new Map<string, string>();

  const read = async (path: string, base: string): Promise<{ path: string; file: string; text: string } | null> => {
    for (const [file, name] of [
      [`${base}.ts`, `${path}.ts`],
      [join(base, "index.ts"), `${path}/index.ts`],
    ] as const) {
      const text = await reader.read(file);
      if (text !== null) return { path: name, file, text };
    }
    return null;
  };

  const inPackage = async (path: string, from: string) => {
    const match = /^~lib\/((?:@[^/]+\/)?[^/]+)(?:\/(.+))?$/.exec(path);
    if (!match) return null;
    const [, name = "", rest = "index"] = match;
    for (let folder = from; ; folder = dirname(folder)) {
      const candidate = join(folder, "node_modules", name);
      const found = await read(path, join(candidate, rest));
      if (found) {
        packageFolders.set(found.path.replace(/\.ts$/, ""), candidate);
        return found;
      }
      if (dirname(folder) === folder) return null;
    }
  };

  return async (path, dependee) => {
    if (!path.startsWith(LIBRARY)) {
      const found = await read(path, resolvePath(directory, path));
      if (
        found &&
        !relative(guest, found.file).startsWith(`..${sep}`) &&
        /^(abi|entry|[a-z]+)\.ts$/.test(relative(guest, found.file))
      ) {
        throw new SecondSdkError(found.file, dependee ?? "");
      }
      return found;
    }
    if (path.startsWith(SDK)) return read(path, join(guest, path.slice(SDK.length)));
    const plain = path.slice(LIBRARY.length);
    if (plain.startsWith("rt/")) {
      const own = await read(path, join(guest, plain));
      if (own) return own;
    }
    for (const name of [plain, `${plain}/index`]) {
      const text = await compiler.libraryText(name);
      if (text !== undefined) return { path: `${LIBRARY}${name}.ts`, file: "", text };
    }
    return inPackage(path, (dependee !== null && packageFolders.get(dependee)) || directory);
  };
}
