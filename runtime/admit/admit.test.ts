import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { FAKE_ENTRIES } from "../process/testing/entries.js";
import { admitModule, MAX_MODULE_BYTES, memoryPagesOf } from "./admit.js";
import { RefusedError } from "./report.js";

const admit = (text: string, timeoutMs?: number) =>
  admitModule(Buffer.from(text), {
    memoryPages: 576,
    entry: FAKE_ENTRIES.admit,
    ...(timeoutMs !== undefined && { timeoutMs }),
  });

async function refusal(promise: Promise<unknown>): Promise<RefusedError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RefusedError);
  return error as RefusedError;
}

describe("admission in a process of its own", () => {
  it("gives the compiled module and its map", async () => {
    const admitted = await admit("warn a module");
    expect(Buffer.from(admitted.compiled).toString()).toBe("compiled warn a module");
    expect(admitted.offsets).toEqual(new Uint32Array([0, 0, 100, 80]));
    expect(admitted.report.warnings).toEqual(["large"]);
  });

  it("says why a module is refused", async () => {
    const error = await refusal(admit("refuse"));
    expect(error.message).toBe("the module is refused for 2 reasons");
    expect(error.problems).toEqual([
      {
        rule: "import-unknown",
        message: "the import env.system is not known",
        place: "section import, function handler/f, offset 0x1a",
        hint: "remove it",
      },
    ]);
  });

  it("takes the compiler's refusal as one", async () => {
    expect((await refusal(admit("fail"))).message).toBe("the module could not be compiled: too many locals");
  });

  it("outlives a crash", async () => {
    expect((await refusal(admit("crash"))).message).toBe("checking the module ended by SIGABRT");
  });

  it("outlives an exception", async () => {
    expect((await refusal(admit("throw"))).message).toBe(
      "checking the module ended with 1: Error: an error of the addon",
    );
  });

  it("ends what takes too long", async () => {
    const message = "checking and compiling the module took longer than 0.5 s";
    expect((await refusal(admit("spin", 500))).message).toBe(message);
  });

  it("outlives one that takes more and more memory", async () => {
    expect((await refusal(admit("hoard"))).message).toMatch(/^checking the module ended (with|by) /);
  });

  it("does not even look at a module that is too large", async () => {
    const error = await refusal(
      admitModule(new Uint8Array(MAX_MODULE_BYTES + 1), { memoryPages: 1, entry: FAKE_ENTRIES.admit }),
    );
    expect(error.message).toBe("the module has 16777217 bytes; at most 16777216 are possible");
  });

  it("leaves no files behind", async () => {
    const directory = await mkdtemp(join(tmpdir(), "weir-admit-test-"));
    vi.stubEnv("TMPDIR", directory);
    try {
      await refusal(admit("crash"));
      await admit("a module");
      expect(await readdir(directory)).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
      await rm(directory, { recursive: true });
    }
  });
});

it("puts the app's memory behind the windows", () => {
  expect(memoryPagesOf(16)).toBe(320 + 256);
});
