/** What to do about the compiler's messages that puzzle people who know TypeScript. */
import type { Diagnostic } from "./compiler.js";

interface Hint {
  readonly matches: RegExp;
  /** Looked for in the line of the message, if given. */
  readonly inLine?: RegExp;
  readonly hint: string;
}

const HINTS: readonly Hint[] = [
  {
    matches: /is used before being assigned/,
    inLine: /=>|function/,
    hint: "If it belongs to an outer function: AssemblyScript has no closures. Pass it as an argument, or make it a global.",
  },
  {
    matches: /closure/i,
    hint: "AssemblyScript has no closures: a function sees its parameters and globals only. Pass state as an argument, as in after(ms, this, c => c.tick()).",
  },
  {
    matches: /try|catch|exceptions/i,
    inLine: /\b(try|catch)\b/,
    hint: "AssemblyScript has no try/catch: every throw ends the instance. Check first, or return null.",
  },
  {
    matches: /Cannot find name '(any|unknown|number)'/,
    hint: "Name a concrete type: i32, u32, f64, string, or a class.",
  },
  {
    matches: /Cannot find name '(Promise|async|fetch|setTimeout|setInterval|process|require|Buffer)'/,
    hint: "Handlers are event-driven: timers are in @weir/guest/timer, connections in @weir/guest/tcp.",
  },
  {
    matches: /File '~lib\/@weir\/guest\/.*' not found/,
    hint: "The SDK has @weir/guest/tcp, udp, http, timer, log and env.",
  },
  {
    matches: /File '.*' not found/,
    hint: "Is the path right, and is the package in the app's node_modules? Packages must be AssemblyScript.",
  },
  {
    matches: /Object is possibly 'null'|Object might be 'null'/i,
    hint: "Compare with null first, or write ! where it cannot be null. Fields must be copied to a local variable before the check counts.",
  },
  { matches: /Type '.*\| null' is not assignable/, hint: "Compare with null first: if (x === null) return;" },
  {
    matches: /Conversion from type '.*' to '.*' requires an explicit cast/,
    hint: "Say which: i32(x), u32(x), f64(x) or <T>x.",
  },
  { matches: /Union|union type/, hint: "AssemblyScript has only T | null; use a class or a function for each case." },
  {
    matches: /not implemented|Not implemented/,
    hint: "AssemblyScript lacks this part of TypeScript; see https://www.assemblyscript.org/status.html.",
  },
];

/** A hint for a message, or an empty string. `line` is the source line it is about. */
export function hintFor(diagnostic: Pick<Diagnostic, "message">, line: string): string {
  return (
    HINTS.find((hint) => hint.matches.test(diagnostic.message) && (hint.inLine === undefined || hint.inLine.test(line)))
      ?.hint ?? ""
  );
}
