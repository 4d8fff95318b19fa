/**
 * Bundles a target in TypeScript with everything that it imports into one script that counts for the fuzzer where it has
 * been: at each function, branch and loop.
 */
import { writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import MagicString from "magic-string";
import { rolldown } from "rolldown";
import { parseAst } from "rolldown/parseAst";
import { COUNTERS } from "./counters.js";

const isNode = (value) => typeof value === "object" && value !== null && typeof value.type === "string";

/** Calls `visit` for each node, children last. */
function walk(node, visit) {
  visit(node);
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) {
      for (const each of value) if (isNode(each)) walk(each, visit);
    } else if (isNode(value)) {
      walk(value, visit);
    }
  }
}

/** Inserts counters into a script. Returns the new text and how many there are. */
export function instrumentScript(text) {
  const script = new MagicString(text);
  let count = 0;
  const counter = () => `globalThis.${COUNTERS}[${count++}]++`;
  const statement = (node) => {
    if (node.type === "BlockStatement") script.appendRight(node.start + 1, `${counter()};`);
    else script.appendRight(node.start, `{${counter()};`).prependLeft(node.end, "}");
  };
  const expression = (node) => {
    script.appendRight(node.start, `(${counter()},(`).prependLeft(node.end, "))");
  };
  walk(parseAst(text), (node) => {
    switch (node.type) {
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        if (node.body?.type === "BlockStatement") statement(node.body);
        else if (node.body) expression(node.body);
        break;
      case "IfStatement":
        statement(node.consequent);
        if (node.alternate) statement(node.alternate);
        break;
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
      case "WhileStatement":
      case "DoWhileStatement":
      case "CatchClause":
        statement(node.body);
        break;
      case "SwitchCase":
        if (node.consequent.length > 0) script.appendRight(node.consequent[0].start, `${counter()};`);
        break;
      case "ConditionalExpression":
        expression(node.consequent);
        expression(node.alternate);
        break;
      case "LogicalExpression":
        expression(node.right);
        break;
    }
  });
  return { text: script.toString(), count };
}

/** Writes the bundle of `source` to `path`. Returns the number of its counters. */
export async function bundle(source, path) {
  const build = await rolldown({ input: source, platform: "node", external: isBuiltin, logLevel: "warn" });
  const { output } = await build.generate({ format: "esm", codeSplitting: false });
  const { text, count } = instrumentScript(output[0].code);
  writeFileSync(path, text);
  return count;
}
