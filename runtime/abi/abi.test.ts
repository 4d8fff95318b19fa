import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  CONFIG_RECORD_BYTES,
  command_fields,
  commands,
  config_record,
  constants,
  enumerations,
  event_fields,
  events,
  type Field,
  info,
} from "./contract.js";
import { generated } from "./generate.js";

describe("what is derived from the contract", () => {
  it.each([...generated()])("%s is what generate.ts writes", (path, text) => {
    expect(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")).toBe(text);
  });
});

const BYTES: Record<Field["type"], number> = { u8: 1, u16: 2, u32: 4, u64: 8, address: 16 };
const value = (name: string): number => constants.find((constant) => constant.name === name)!.value;

describe("the contract", () => {
  it("keeps every field within its record and aligned", () => {
    const within = (fields: readonly Field[], bytes: number): void => {
      for (const { name, type, offset_bytes } of fields) {
        expect(offset_bytes + BYTES[type], name).toBeLessThanOrEqual(bytes);
        expect(offset_bytes % Math.min(BYTES[type], 8), name).toBe(0);
      }
    };
    within(event_fields, value("record_bytes"));
    within(command_fields, value("record_bytes"));
    within(config_record, CONFIG_RECORD_BYTES);
    within(info, value("info_bytes"));
  });

  it.each([...events, ...commands])("has no two fields of $name in one place", ({ fields }) => {
    const taken = new Set<number>();
    // An opened event has its entry where the cookie will be: the cookie is 0 before accept.
    const shares = fields.some(({ name }) => name === "listen");
    for (const { name, offset_bytes, type } of fields) {
      if (shares && name === "cookie") continue;
      for (let at = offset_bytes; at < offset_bytes + BYTES[type]; at++) {
        expect(taken.has(at)).toBe(false);
        taken.add(at);
      }
    }
  });

  it("gives every number once", () => {
    for (const { values } of [{ values: events }, { values: commands }, ...enumerations]) {
      expect(new Set(values.map((entry) => entry.value)).size).toBe(values.length);
      expect(new Set(values.map((entry) => entry.name)).size).toBe(values.length);
    }
  });

  it("keeps the windows apart", () => {
    expect(value("null_end")).toBe(value("rx_window"));
    expect(value("events") + value("event_capacity") * value("record_bytes")).toBeLessThanOrEqual(value("packets"));
    expect(value("rx_window") + value("rx_window_bytes")).toBe(value("rw_window"));
    expect(value("commands") + value("command_capacity") * value("record_bytes")).toBe(value("tx_buffers"));
    expect(value("tx_buffers") + value("tx_buffers_bytes")).toBe(value("module_base"));
  });
});
