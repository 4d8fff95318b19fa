import { host, type TestHost, type UdpSocket } from "@weir/host/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

const TYPE_A = 1;
const TYPE_AAAA = 28;

const question = (name: string, type: number): Buffer =>
  Buffer.concat([
    Buffer.from([0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ...name.split(".").map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
    Buffer.from([0, 0, type, 0, 1]),
  ]);

let weir: TestHost;
let resolver: UdpSocket;
beforeEach(async () => {
  weir = await host({ app: import.meta.dirname });
  resolver = weir.udp();
});
afterEach(() => weir.close());

test("a question of type A is answered", async () => {
  await resolver.send(53, question("weir.example", TYPE_A));
  const answer = Buffer.from((await resolver.receive()).data);
  expect(answer.subarray(0, 8).toString("hex")).toBe("abcd840000010001");
  expect(answer.subarray(-16).toString("hex")).toBe("c00c000100010000003c00040a000001");
});

test("one of another type has no answer", async () => {
  await resolver.send(53, question("weir.example", TYPE_AAAA));
  expect(Buffer.from((await resolver.receive()).data).readUInt16BE(6)).toBe(0);
});

test("nothing that is no question does harm, not even a label of 255 bytes", async () => {
  for (let length = 0; length < 1472; length += 7) {
    const data = new Uint8Array(length).fill(length % 64 ? 0x3f : 0xff);
    data.set([0, 0, 0, 0, 0, 1].slice(0, length));
    await resolver.send(53, data);
  }
  await weir.advance(100);
  expect(weir.failures).toEqual([]);
});

test("a resolver that asks again gets through a link that loses every second frame", async () => {
  weir.link.loss = 0.5;
  let answer: Buffer | undefined;
  for (let attempt = 0; attempt < 20 && answer === undefined; attempt++) {
    await resolver.send(53, question("weir.example", TYPE_A));
    const received = await resolver.receive({ withinMs: 1_000 }).catch(() => undefined);
    if (received !== undefined) answer = Buffer.from(received.data);
  }
  expect(answer?.readUInt16BE(6)).toBe(1);
});
