/** `weir init`: a folder with a new app. */
import { existsSync, realpathSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { basename, join, relative, resolve, sep } from "node:path";
import { type Command, Option } from "commander";
import { writeEditorTypes } from "../build/index.js";
import { labelSchema } from "../config/manifest.js";
import { hosting } from "./hosting.js";
import { guestFolder, hostFolder } from "./shared/installation.js";
import { CliError, ExitCode, globalOptions, print } from "./shared/output.js";
import { TEMPLATES, type TemplateName } from "./shared/templates.js";

/** A path as it is written into a file of `folder`: relative, with a leading "./". */
function pathFrom(folder: string, target: string): string {
  const path = relative(folder, target).split(sep).join("/");
  return path.startsWith(".") ? path : `./${path}`;
}

/** How the user calls this command line: by name where PATH has it, else by its path. */
function ownCommand(): string {
  const bin = join(hostFolder(), "bin", "weir.js");
  for (const folder of (process.env.PATH ?? "").split(":")) {
    // npx puts node_modules/.bin on PATH for this process only.
    if (folder === "" || folder.includes("node_modules")) continue;
    const candidate = join(folder, "weir");
    if (existsSync(candidate) && realpathSync(candidate) === bin) return "weir";
  }
  return bin;
}

async function create(folder: string, template: TemplateName): Promise<string[]> {
  const name = basename(folder);
  const checked = labelSchema.safeParse(name);
  if (!checked.success) {
    throw new CliError(`"${name}" cannot be the name of an app: ${checked.error.issues[0]?.message}.`, ExitCode.usage);
  }
  const present = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new CliError(`${folder} cannot be used: ${error.message}`, ExitCode.failed);
  });
  if (present.length > 0) throw new CliError(`${folder} is not empty.`, ExitCode.refused, "Choose another name.");
  await mkdir(folder, { recursive: true });
  const files = TEMPLATES[template]({
    name,
    tsconfig: pathFrom(realpathSync(folder), join(guestFolder(), "tsconfig.handlers.json")),
    testsTsconfig: pathFrom(realpathSync(folder), join(hostFolder(), "tsconfig.tests.json")),
    schema: pathFrom(realpathSync(folder), join(hostFolder(), "weir.schema.json")),
  });
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
  return Object.keys(files);
}

/** Adds the verb. */
export function register(program: Command): void {
  const template = new Option("--template <kind>", "what the handler speaks")
    .choices(Object.keys(TEMPLATES))
    .default("http");
  program
    .command("init")
    .description("make a folder with a new app")
    .argument("<name>", "the app's name, or a path that ends with it")
    .addOption(template)
    .addHelpText("after", "\nExamples:\n  weir init hello\n  weir init ../apps/chat --template tcp")
    .action(
      hosting(async (name: string, options: { template: TemplateName }, command: Command) => {
        const { json } = globalOptions(command);
        const folder = resolve(name);
        const files = await create(folder, options.template);
        await writeEditorTypes();
        const next = `cd ${name} && ${ownCommand()} dev`;
        const text = `${folder}: ${files.join(", ")}\n\nNext:\n  ${next}`;
        print({ folder, files, next }, { json, text });
      }),
    );
}
