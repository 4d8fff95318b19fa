/**
 * Text into the readers of weir.toml and host.toml: whatever it is, they give a configuration that is valid, or say what is
 * wrong and where.
 */
import { isDeepStrictEqual } from "node:util";
import { hostConfigSchema, parseHostConfig } from "../../runtime/config/host-config.js";
import { checkManifest, connectsOf, listensOf, parseManifest } from "../../runtime/config/manifest.js";
import { ConfigError, formatProblem, type Problem } from "../../runtime/config/problem.js";

/** The first byte says which file it is: "h" is even, "w" is odd. */
const isHost = (data: Buffer): boolean => (data[0]! & 1) === 0;

function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}

/** What is said of a mistake must help to find it. */
function judgeProblem(problem: Problem, lines: readonly string[]): void {
  const text = formatProblem(problem);
  expect(problem.message !== "" && !/undefined|\[object|NaN/.test(problem.message.replace(/".*"/gs, "")), text);
  expect(problem.line >= 1 && problem.line <= lines.length, `${text}: there is no such line`);
  // The parser counts in UTF-16 units, from 1; behind the last character is possible.
  expect(
    problem.column >= 1 && problem.column <= lines[problem.line - 1]!.length + 2,
    `${text}: there is no such column`,
  );
}

function judgeManifest(text: string): void {
  const manifest = parseManifest(text);
  // What is deployed is the same, read from JSON again.
  expect(isDeepStrictEqual(plain(checkManifest(plain(manifest))), plain(manifest)), "a manifest changes on its way");
  for (const { port } of listensOf(manifest)) expect(port >= 1 && port <= 65535, `port ${port}`);
  for (const { port } of connectsOf(manifest)) expect(port >= 1 && port <= 65535, `port ${port}`);
}

function judgeHost(text: string): void {
  const config = parseHostConfig(text);
  expect(isDeepStrictEqual(plain(hostConfigSchema.parse(plain(config))), plain(config)), "a configuration changes");
  expect(
    config.port.length === 1 && new Set(config.workers.cores).size === config.workers.cores.length,
    "more than there can be",
  );
}

/** Without prototypes and undefined values, as it is sent. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** Called by the fuzzer. */
export function fuzz(data: Buffer): void {
  if (data.length === 0) return;
  const text = data.subarray(1).toString("utf8");
  try {
    if (isHost(data)) judgeHost(text);
    else judgeManifest(text);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems.length > 0 && error.message !== "", "a refusal without a reason");
    const lines = text.split(/\r\n|\n/);
    for (const problem of error.problems) judgeProblem(problem, lines);
  }
}
