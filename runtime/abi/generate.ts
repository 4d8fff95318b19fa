/** Writes what is derived from contract.ts: native/sandbox/abi.h, guest/abi.ts and docs/abi.md. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  CONFIG_RECORD_BYTES,
  command_fields,
  commands,
  config_record,
  constants,
  type Enumeration,
  enumerations,
  event_fields,
  events,
  exports,
  type Field,
  imports,
  info,
  type RecordKind,
} from "./contract.js";

const NOTICE = "Generated from runtime/abi/contract.ts by runtime/abi/generate.ts. Do not edit.";

const pascal = (name: string): string => name.replace(/(?:^|_)([a-z])/g, (_, c: string) => c.toUpperCase());
const upper = (name: string): string => name.toUpperCase();
const hex = (value: number): string => (value >= 0x10000 ? `0x${value.toString(16).padStart(8, "0")}` : String(value));

const kindEnumerations: readonly Enumeration[] = [
  { name: "EventKind", doc: "Kinds of event records.", values: events },
  { name: "CommandKind", doc: "Kinds of command records.", values: commands },
];
const allEnumerations = [...kindEnumerations, ...enumerations];

const CPP_TYPES = { u8: "uint8_t", u16: "uint16_t", u32: "uint32_t", u64: "uint64_t" } as const;

function cppRecord(name: string, size: string, fields: readonly Field[], doc: string): string {
  const lines = fields.map((field) => {
    if (field.type === "address") {
      return `  /// ${field.doc}\n  const uint8_t* ${field.name}() const { return bytes + ${field.offset_bytes}; }\n  uint8_t* ${field.name}() { return bytes + ${field.offset_bytes}; }`;
    }
    const type = CPP_TYPES[field.type];
    return (
      `  /// ${field.doc}\n` +
      `  ${type} ${field.name}() const { ${type} value; std::memcpy(&value, bytes + ${field.offset_bytes}, sizeof value); return value; }\n` +
      `  void set_${field.name}(${type} value) { std::memcpy(bytes + ${field.offset_bytes}, &value, sizeof value); }`
    );
  });
  return `/// ${doc}\nstruct ${name} {\n  alignas(8) uint8_t bytes[${size}];\n${lines.join("\n")}\n};\nstatic_assert(sizeof(${name}) == ${size});\n`;
}

/** The C++ header of the contract. */
export function cppHeader(): string {
  const parts = [
    `// ${NOTICE}`,
    "// clang-format off",
    "#pragma once",
    "#include <cstdint>",
    "#include <cstring>",
    "",
    "namespace weir::abi {",
    "",
    ...constants.map((c) => `/// ${c.doc}\ninline constexpr uint32_t k${pascal(c.name)} = ${hex(c.value)};`),
    `inline constexpr uint32_t kConfigRecordBytes = ${CONFIG_RECORD_BYTES};`,
    "",
    ...allEnumerations.map((e) => {
      const values = e.values.map((v) => `  /// ${v.doc}\n  ${v.name} = ${v.value},`).join("\n");
      const names = e.values.map((v) => `    case ${e.name}::${v.name}: return "${v.name}";`).join("\n");
      return (
        `/// ${e.doc}\nenum class ${e.name} : uint8_t {\n${values}\n};\n` +
        `inline constexpr uint32_t k${e.name}Count = ${Math.max(...e.values.map((v) => v.value)) + 1};\n` +
        `inline constexpr const char* name_of(${e.name} value) {\n  switch (value) {\n${names}\n  }\n  return "unknown";\n}\n`
      );
    }),
    cppRecord("EventRecord", "kRecordBytes", event_fields, "An event: the host writes it, the guest reads it."),
    cppRecord(
      "CommandRecord",
      "kRecordBytes",
      command_fields,
      "A command: the guest writes it, the host copies it once.",
    ),
    cppRecord("ConfigRecord", "kConfigRecordBytes", config_record, "A configuration record in the info block."),
    ...info.map((f) => `/// ${f.doc}\ninline constexpr uint32_t kInfo${pascal(f.name)}Offset = ${f.offset_bytes};`),
    "",
    "}  // namespace weir::abi",
    "",
  ];
  return parts.join("\n");
}

function guestRecord(name: string, fields: readonly Field[], doc: string, writable: boolean): string {
  const lines = fields.map((field) => {
    const at = `changetype<usize>(this), ${field.offset_bytes}`;
    if (field.type === "address") {
      return `  /** ${field.doc} */\n  @inline get ${field.name}(): usize { return changetype<usize>(this) + ${field.offset_bytes}; }`;
    }
    const getter = `  /** ${field.doc} */\n  @inline get ${field.name}(): ${field.type} { return load<${field.type}>(${at}); }`;
    if (!writable) return getter;
    const setterAt = `changetype<usize>(this), value, ${field.offset_bytes}`;
    return `${getter}\n  @inline set ${field.name}(value: ${field.type}) { store<${field.type}>(${setterAt}); }`;
  });
  return `/** ${doc} */\n@unmanaged\nexport class ${name} {\n${lines.join("\n")}\n}\n`;
}

/** The contract for AssemblyScript. */
export function guestModule(): string {
  return [
    `// ${NOTICE}`,
    "",
    ...constants.map((c) => `/** ${c.doc} */\nexport const ${upper(c.name)}: u32 = ${hex(c.value)};`),
    `export const CONFIG_RECORD_BYTES: u32 = ${CONFIG_RECORD_BYTES};`,
    "",
    ...allEnumerations.map((e) => {
      const values = e.values.map(
        (v) => `  ${v.doc === "" ? "" : `/** ${v.doc} */\n  `}${pascal(v.name)} = ${v.value},`,
      );
      return `/** ${e.doc} */\nexport enum ${e.name} {\n${values.join("\n")}\n}\n`;
    }),
    guestRecord("EventRecord", event_fields, "An event, as the host wrote it.", false),
    guestRecord("CommandRecord", command_fields, "A command, as the host will read it.", true),
    guestRecord("ConfigRecord", config_record, "A configuration record.", false),
    guestRecord(
      "Info",
      info.filter((f) => f.name !== "tickets"),
      "The info block.",
      false,
    ),
    `/** Offset of the first ticket (u64 each) in the info block. */\nexport const INFO_TICKETS_OFFSET: u32 = ${info.find((f) => f.name === "tickets")?.offset_bytes};`,
    "",
  ].join("\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function fieldList(kind: RecordKind): string {
  return kind.fields.map((f) => `\`${f.name}\` ${f.type}@${f.offset_bytes}`).join(", ");
}

/** The contract as a page for people. */
export function markdown(): string {
  const sections = [
    `<!-- ${NOTICE} -->`,
    "# The guest contract",
    "What a module and its host say to each other. All integers are little-endian. Records are 32 bytes.",
    "## Memory and limits",
    table(
      ["constant", "value", "meaning"],
      constants.map((c) => [`\`${c.name}\``, hex(c.value), c.doc]),
    ),
    "## Exports that a module must have",
    table(
      ["name", "type", "meaning"],
      exports.map((s) => [`\`${s.name}\``, `\`${s.type}\``, s.doc]),
    ),
    "## Imports that a module may have",
    table(
      ["module", "name", "type", "meaning"],
      imports.map((s) => [s.module ?? "", `\`${s.name}\``, `\`${s.type}\``, s.doc]),
    ),
    "## Info block",
    "At `info`, read-only.",
    table(
      ["field", "type", "offset", "meaning"],
      info.map((f) => [`\`${f.name}\``, f.type, String(f.offset_bytes), f.doc]),
    ),
    `Configuration records have ${CONFIG_RECORD_BYTES} bytes:`,
    table(
      ["field", "type", "offset", "meaning"],
      config_record.map((f) => [`\`${f.name}\``, f.type, String(f.offset_bytes), f.doc]),
    ),
    "## Events",
    "`kind` u8@0 in every record.",
    table(
      ["kind", "number", "fields", "meaning"],
      events.map((k) => [`\`${k.name}\``, String(k.value), fieldList(k), (k.reserved ? "(reserved) " : "") + k.doc]),
    ),
    "## Commands",
    "`kind` u8@0 in every record. The host copies all records once after the call, then checks and executes them in order.",
    table(
      ["kind", "number", "fields", "meaning"],
      commands.map((k) => [`\`${k.name}\``, String(k.value), fieldList(k), (k.reserved ? "(reserved) " : "") + k.doc]),
    ),
    ...enumerations.flatMap((e) => [
      `## ${e.name}`,
      e.doc,
      table(
        ["name", "value", "meaning"],
        e.values.map((v) => [`\`${v.name}\``, String(v.value), v.doc]),
      ),
    ]),
  ];
  return `${sections.join("\n\n")}\n`;
}

/** Files that are generated, relative to the root of the project, with their text. */
export function generated(): ReadonlyMap<string, string> {
  return new Map([
    ["native/sandbox/abi.h", cppHeader()],
    ["guest/abi.ts", guestModule()],
    ["docs/abi.md", markdown()],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = new URL("../../../", import.meta.url); // from runtime/dist/abi
  for (const [path, text] of generated()) writeFileSync(new URL(path, root), text);
}
