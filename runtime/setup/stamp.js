/** Remembers the state of the inputs of a step, so that a second run knows that there is nothing to do. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { STAMP_FOLDER } from "./paths.js";

/** Paths of the files below `folder` whose path `accept` takes, sorted. */
export function filesBelow(folder, accept, skipFolder = () => false) {
  const found = [];
  const visit = (current) => {
    for (const entry of readdirSync(current, { withFileTypes: true })) {
      const path = join(current, entry.name);
      if (entry.isDirectory()) {
        if (!skipFolder(entry.name)) visit(path);
      } else if (accept(entry.name)) found.push(path);
    }
  };
  visit(folder);
  return found.sort();
}

/** A hash over texts and over the names, sizes and modification times of files. */
export function hashState(root, files, texts = []) {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text}\0`);
  for (const file of files) {
    const stat = statSync(file, { throwIfNoEntry: false });
    hash.update(`${relative(root, file)}\0${stat?.size}\0${stat?.mtimeMs}\0`);
  }
  return hash.digest("hex");
}

/** A hash over texts and over the names and contents of files: the same in every clone. */
export function hashContents(root, files, texts = []) {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text}\0`);
  for (const file of files) {
    hash.update(`${relative(root, file)}\0`);
    hash.update(readFileSync(file));
  }
  return hash.digest("hex");
}

/** Whether a step's stamp says `state`. */
export function isStamped(name, state, folder = STAMP_FOLDER) {
  try {
    return readFileSync(join(folder, name), "utf8") === state;
  } catch {
    return false;
  }
}

/** Writes a step's stamp. */
export function stamp(name, state, folder = STAMP_FOLDER) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), state);
}

/** Removes a step's stamp: what it vouched for is about to change. */
export function unstamp(name, folder = STAMP_FOLDER) {
  rmSync(join(folder, name), { force: true });
}
