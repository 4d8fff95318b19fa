import { expect, test } from "vitest";
import { prove, readPing } from "./proofs.js";

test("ping's summary is read with and without round-trip times", () => {
  const summary = "5 packets transmitted, 5 received, 0% packet loss, time 804ms\n";
  expect(readPing(`${summary}rtt min/avg/max/mdev = 0.061/0.082/0.101/0.013 ms\n`)).toEqual({
    received: 5,
    meanMs: 0.082,
  });
  expect(readPing(summary)).toEqual({ received: 5, meanMs: Number.NaN });
});

test("every proof gets its line, also after one that failed", async () => {
  const lines: string[] = [];
  const proofs = [
    { name: "a", run: async () => Promise.reject(new Error("broken")) },
    { name: "b", run: async () => "3 ms" },
  ];
  expect(await prove(proofs, (line) => lines.push(line))).toBe(1);
  expect(lines).toEqual(["✗ a: broken", "✓ b: 3 ms"]);
});
