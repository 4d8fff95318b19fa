import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { readJsonLines } from "./lines.js";

function read(maxLineBytes: number): { stream: PassThrough; values: unknown[]; ended: Promise<string> } {
  const stream = new PassThrough();
  const values: unknown[] = [];
  const ended = new Promise<string>((resolve) => stream.on("error", (error) => resolve(error.message)));
  readJsonLines(stream, maxLineBytes, (value) => values.push(value));
  return { stream, values, ended };
}

it("joins and splits", async () => {
  const { stream, values } = read(100);
  for (const piece of ['{"a":', '1}\n{"b":2}\n"', 'ü"\n']) stream.write(piece);
  await new Promise(setImmediate);
  expect(values).toEqual([{ a: 1 }, { b: 2 }, "ü"]);
});

it("ends at a line beyond the bound, also when it never ends", async () => {
  const { stream, ended } = read(10);
  stream.write("12345");
  stream.write("1234567");
  expect(await ended).toBe("a message is longer than 10 bytes");
});

it("ends at what is not JSON", async () => {
  const { stream, values, ended } = read(100);
  stream.write("1\n{\n2\n");
  expect(await ended).toBe("a message is not JSON");
  expect(values).toEqual([1]);
});
