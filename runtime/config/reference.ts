/** Writes the schemas of weir.toml and host.toml out as tables for people: docs/configuration.md. */

/** The parts of a JSON schema that the tables show. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly additionalProperties?: unknown;
}

/** What a key takes, in a few words. */
function valuesOf(schema: Schema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((each) => JSON.stringify(each)).join(", ");
  if (schema.anyOf !== undefined) return schema.anyOf.map(valuesOf).join(" or ");
  const { minimum, maximum } = schema;
  switch (schema.type) {
    case "integer":
    case "number": {
      const whole = (value: number | undefined) =>
        value === undefined || Math.abs(value) >= Number.MAX_SAFE_INTEGER ? undefined : String(value);
      const [least, most] = [whole(minimum), whole(maximum)];
      if (least !== undefined && most !== undefined) return `${least} to ${most}`;
      return least === undefined ? "number" : `${least} or more`;
    }
    case "boolean":
      return "true, false";
    case "array":
      return `list of ${schema.items === undefined ? "values" : valuesOf(schema.items)}`;
    case "object":
      return schema.properties === undefined ? "names with values" : `{ ${Object.keys(schema.properties).join(", ")} }`;
    default:
      return "text";
  }
}

const isTable = (schema: Schema): boolean => schema.type === "object" && schema.properties !== undefined;
const isTables = (schema: Schema): boolean => schema.type === "array" && schema.items?.properties !== undefined;

function rowOf(key: string, schema: Schema, required: boolean): string {
  const value = schema.default === undefined ? (required ? "needed" : "") : `\`${JSON.stringify(schema.default)}\``;
  const cells = [`\`${key}\``, value, valuesOf(schema), schema.description ?? ""];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}

function sectionsOf(schema: Schema, heading: string): string[] {
  const entries = Object.entries(schema.properties ?? {});
  // Further in, lists of tables are written in one line.
  const inner = (each: Schema) => isTable(each) || (heading === "" && isTables(each));
  const plain = entries.filter(([, each]) => !inner(each));
  const rows = plain.map(([key, each]) => rowOf(key, each, schema.required?.includes(key) === true));
  const table = ["| key | default | values | meaning |", "|---|---|---|---|", ...rows].join("\n");
  const own = [heading === "" ? "" : `### \`${heading}\``, schema.description ?? "", rows.length === 0 ? "" : table];
  const within = entries
    .filter(([, each]) => inner(each))
    .flatMap(([key, each]) => {
      const name = [...heading.replaceAll(/[[\]]/g, "").split(".").filter(Boolean), key].join(".");
      return isTables(each)
        ? sectionsOf({ ...each.items!, description: each.description ?? each.items!.description ?? "" }, `[[${name}]]`)
        : sectionsOf(each, `[${name}]`);
    });
  return [...own.filter(Boolean), ...within];
}

/** The page: `files` are file names with a line about each and its JSON schema. */
export function configurationReference(files: readonly (readonly [string, string, object])[]): string {
  const parts = files.flatMap(([name, about, schema]) => [`## ${name}`, about, ...sectionsOf(schema as Schema, "")]);
  const head = [
    "<!-- Written by runtime/config/generate.ts. -->",
    "# Configuration",
    "All keys of weir.toml and host.toml. An unknown key, or a value that is not possible, is refused with its place in the file and what is possible there.",
  ];
  return `${[...head, ...parts].join("\n\n")}\n`;
}
