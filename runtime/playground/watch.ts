/** Notices edits. Editors replace files instead of writing into them, so folders are watched, not files. */
import { type FSWatcher, watch } from "node:fs";
import { dirname, join, resolve, sep } from "node:path";

/** Several events make one edit: a rename, a write, a change of mode. */
const QUIET_MS = 40;

/** A pattern of weir.toml's build.watch as a regular expression: `*` within a folder, `**` across folders, `?`. */
export function globToRegExp(glob: string): RegExp {
  const source = glob.replace(/\*\*\/|\*\*|\*|\?|[.+^${}()|[\]\\]/g, (token) => {
    if (token === "**/") return "(?:.*/)?";
    if (token === "**") return ".*";
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    return `\\${token}`;
  });
  return new RegExp(`^${source}$`);
}

/** The folder of a pattern before its first wildcard. */
function folderOf(glob: string): string {
  const steps = glob.split("/");
  const wild = steps.findIndex((step) => /[*?]/.test(step));
  return steps.slice(0, wild < 0 ? -1 : wild).join("/");
}

/** Watches files and patterns of an app until closed; `onEdit` gets the paths that changed. */
export class SourceWatcher {
  readonly #directory: string;
  readonly #onEdit: (paths: readonly string[]) => void;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #changed = new Set<string>();
  #files = new Set<string>();
  #patterns: readonly RegExp[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(directory: string, onEdit: (paths: readonly string[]) => void) {
    this.#directory = resolve(directory);
    this.#onEdit = onEdit;
  }

  /** Replaces what is watched: files by path, and patterns relative to the app's folder. */
  set(files: readonly string[], globs: readonly string[]): void {
    this.#files = new Set(files.map((file) => resolve(this.#directory, file)));
    this.#patterns = globs.map(globToRegExp);
    const flat = new Set([...this.#files].map((file) => dirname(file)));
    const deep = new Set(globs.map((glob) => join(this.#directory, folderOf(glob))));
    const wanted = new Map([
      ...[...flat].map((folder) => [folder, false] as const),
      ...[...deep].map((folder) => [folder, true] as const),
    ]);
    for (const [folder, watcher] of this.#watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const [folder, recursive] of wanted) this.#watch(folder, recursive);
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(folder: string, recursive: boolean): void {
    if (this.#watchers.has(folder)) return;
    try {
      const watcher = watch(folder, { recursive }, (_event, name) => {
        if (name !== null) this.#note(join(folder, name));
      });
      watcher.on("error", () => {
        watcher.close();
        this.#watchers.delete(folder);
      });
      this.#watchers.set(folder, watcher);
    } catch {
      // A folder of a pattern that does not exist (yet) has nothing to watch.
    }
  }

  #note(path: string): void {
    const inside = path.startsWith(this.#directory + sep) ? path.slice(this.#directory.length + 1) : undefined;
    if (!this.#files.has(path) && !(inside !== undefined && this.#patterns.some((pattern) => pattern.test(inside))))
      return;
    this.#changed.add(path);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const changed = [...this.#changed];
      this.#changed.clear();
      this.#onEdit(changed);
    }, QUIET_MS);
  }
}
