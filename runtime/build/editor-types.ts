/** Declarations of AssemblyScript's globals that TypeScript 7 accepts. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { readText } from "./kept-builds.js";
import { guestDirectory } from "./resolve.js";

/**
 * Writes `dist/types/assembly/index.d.ts` in @weir/guest, which tsconfig.handlers.json names: the declarations of the
 * installed AssemblyScript, in which `Number` becomes an interface (TypeScript 7 refuses an alias: TS2316).
 * Does nothing if it is there already. Returns the file's path.
 */
export async function writeEditorTypes(): Promise<string> {
  const guest = guestDirectory();
  const require = createRequire(join(guest, "package.json"));
  const source = join(dirname(require.resolve("assemblyscript/package.json")), "std", "assembly", "index.d.ts");
  const text = patched(await readFile(source, "utf8"));
  const target = join(guest, "dist", "types", "assembly", "index.d.ts");
  if ((await readText(target)) === text) return target;
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, text);
  return target;
}

/** The declarations with what TypeScript 7 refuses replaced. Throws if they are not the expected ones. */
export function patched(declarations: string): string {
  const alias = "declare type Number = _Float;";
  if (!declarations.includes(alias)) throw new Error(`AssemblyScript's declarations no longer have "${alias}"`);
  return declarations.replace(alias, "interface Number extends _Float {}");
}
