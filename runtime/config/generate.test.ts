import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { generated } from "./generate.js";

describe("the editors' schemas", () => {
  it.each([...generated()])("%s is what generate.ts writes", (path, text) => {
    expect(readFileSync(new URL(`../${path}`, import.meta.url), "utf8")).toBe(text);
  });
});
