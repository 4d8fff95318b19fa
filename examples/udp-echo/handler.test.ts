import { host, type TestHost } from "@weir/host/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

let weir: TestHost;
beforeEach(async () => {
  weir = await host({ app: import.meta.dirname });
});
afterEach(() => weir.close());

test("every datagram goes back to its sender", async () => {
  const [one, other] = [weir.udp({ port: 5353 }), weir.udp({ address: "192.0.2.7" })];
  await one.send("main", "ping");
  await other.send(7, new Uint8Array(0));
  expect(await one.receive()).toMatchObject({ address: "10.44.0.2", port: 7, text: "ping" });
  expect((await other.receive()).data.length).toBe(0);
});

test("what the link loses does not come back: UDP repairs nothing", async () => {
  weir.link.loss = 0.3;
  const socket = weir.udp();
  for (let number = 0; number < 100; number++) await socket.send(7, `${number}`);
  const answers = new Set<string>();
  for (;;) {
    const answer = await socket.receive({ withinMs: 1_000 }).catch(() => undefined);
    if (answer === undefined) break;
    answers.add(answer.text);
  }
  // 0.7 come, and of their answers 0.7 again.
  expect(answers.size).toBeGreaterThan(30);
  expect(answers.size).toBeLessThan(70);
});
