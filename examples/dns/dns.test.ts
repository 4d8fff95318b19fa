import { beforeAll, expect, test } from "vitest";
import { buildFolder } from "../../guest/testing/build.js";
import { Host } from "../../guest/testing/host.js";

let wasm: Uint8Array;
beforeAll(async () => {
  wasm = (await buildFolder(import.meta.url)).wasm;
}, 60_000);

const question = (name: string, type: number): Buffer =>
  Buffer.concat([
    Buffer.from([0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ...name.split(".").map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
    Buffer.from([0, 0, type, 0, 1]),
  ]);

let host: Host;
beforeAll(() => {
  host = new Host(wasm, { listen: { main: "udp:53" } });
});

const ask = (data: Uint8Array): Buffer | undefined => {
  host.datagrams.length = 0;
  host.datagram(data);
  host.run();
  return host.datagrams[0] && Buffer.from(host.datagrams[0].data);
};

test("a question of type A is answered", () => {
  const answer = ask(question("weir.example", 1));
  expect(answer?.subarray(0, 8).toString("hex")).toBe("abcd840000010001");
  expect(answer?.subarray(-16).toString("hex")).toBe("c00c000100010000003c00040a000001");
});

test("one of another type has no answer", () => {
  expect(ask(question("weir.example", 28))?.readUInt16BE(6)).toBe(0);
});

test("nothing that is no question does harm, not even a label of 255 bytes", () => {
  expect(ask(new Uint8Array(5))).toBeUndefined();
  for (let length = 0; length < 1472; length += 7) {
    const data = new Uint8Array(length).fill(length % 64 ? 0x3f : 0xff);
    data.set([0, 0, 0, 0, 0, 1].slice(0, length));
    expect(() => ask(data)).not.toThrow();
  }
});
