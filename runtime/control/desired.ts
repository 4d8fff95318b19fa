/** What is to run on a host: kept in `desired.json` of the state directory. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { checkManifest, type Manifest } from "../config/manifest.js";
import { writeFileAtomically } from "../process/files.js";
import { MAX_APPS } from "./policy.js";

const FORMAT = 1;
const FILE = "desired.json";

/** An app that is to run. */
export interface DesiredApp {
  readonly id: number;
  readonly tenant: string;
  readonly manifest: Manifest;
  /** Where the store has the compiled module. */
  readonly storeKey: string;
  readonly moduleSha256: string;
  readonly deployedUs: number;
}

interface Document {
  readonly format: number;
  readonly nextId: number;
  readonly apps: readonly DesiredApp[];
}

/** The desired state of one host. It is on disk before a change is taken as made. */
export class DesiredState {
  private constructor(
    private readonly path: string,
    private nextId: number,
    private readonly apps: Map<number, DesiredApp>,
  ) {}

  /** Reads the state, an empty one when there is none. Rejects when it is there and cannot be used. */
  static async open(directory: string): Promise<DesiredState> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, FILE);
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return new DesiredState(path, 1, new Map());
    }
    try {
      const document = JSON.parse(text) as Document;
      if (document.format !== FORMAT) throw new Error(`it has format ${document.format}, this weir knows ${FORMAT}`);
      const apps = document.apps.map((app) => ({ ...app, manifest: checkManifest(app.manifest) }));
      return new DesiredState(path, document.nextId, new Map(apps.map((app) => [app.id, app])));
    } catch (error) {
      const advice = "move it away to start with nothing deployed";
      throw new Error(`the desired state in ${path} cannot be used: ${(error as Error).message}; ${advice}`);
    }
  }

  /** In the order of their ids. */
  all(): DesiredApp[] {
    return [...this.apps.values()].sort((a, b) => a.id - b.id);
  }

  get(tenant: string, name: string): DesiredApp | undefined {
    return this.all().find((app) => app.tenant === tenant && app.manifest.name === name);
  }

  /** An id nobody has, not one that was given back lately; undefined when there is none. */
  freeId(): number | undefined {
    for (let i = 0; i < MAX_APPS; i++) {
      const id = ((this.nextId - 1 + i) % MAX_APPS) + 1;
      if (!this.apps.has(id)) return id;
    }
    return undefined;
  }

  async put(app: DesiredApp): Promise<void> {
    const before = this.apps.get(app.id);
    const nextId = before === undefined ? (app.id % MAX_APPS) + 1 : this.nextId;
    await this.save(new Map(this.apps).set(app.id, app), nextId);
    this.apps.set(app.id, app);
    this.nextId = nextId;
  }

  async remove(id: number): Promise<void> {
    const after = new Map(this.apps);
    after.delete(id);
    await this.save(after, this.nextId);
    this.apps.delete(id);
  }

  private async save(apps: ReadonlyMap<number, DesiredApp>, nextId: number): Promise<void> {
    const document: Document = { format: FORMAT, nextId, apps: [...apps.values()] };
    await writeFileAtomically(this.path, `${JSON.stringify(document, undefined, 1)}\n`);
  }
}
