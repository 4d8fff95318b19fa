/** The engine's crate: format, lint and tests. */
import { ENGINE_CRATE, FUZZ_CRATE } from "../paths.js";
import { execute } from "../shell.js";
import { cargoTargetFolder } from "../steps/engine.js";

function options(context, log) {
  const env = {
    ...context.env,
    CARGO_TARGET_DIR: cargoTargetFolder(context.env),
    CMAKE_GENERATOR: "Ninja",
    CARGO_TERM_COLOR: "never",
  };
  return { cwd: ENGINE_CRATE, env, log };
}

const asResult = ({ code }) => (code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });

/** Sums of libtest's lines `test result: ok. 12 passed; 0 failed; ...`, one for each test executable and the examples. */
export function countLibtest(text) {
  let passed = 0;
  let failed = 0;
  for (const match of text.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm)) {
    passed += Number(match[1]);
    failed += Number(match[2]);
  }
  return { passed, failed };
}

export const rustRunners = [
  {
    name: "cargo-fmt",
    async run(context, _progress, log) {
      const engine = await execute("cargo", ["fmt", "--check"], options(context, log));
      const fuzz = await execute("cargo", ["fmt", "--check"], {
        ...options(context, log),
        cwd: FUZZ_CRATE,
        append: true,
      });
      return asResult({ code: engine.code || fuzz.code });
    },
  },
  {
    name: "cargo-clippy",
    run: async (context, _progress, log) => {
      const args = ["clippy", "--release", "--locked", "--all-targets", "--", "-D", "warnings"];
      return asResult(await execute("cargo", args, options(context, log)));
    },
  },
  {
    name: "cargo-test",
    async run(context, progress, log) {
      let text = "";
      const onLine = (line, file) => {
        file.write(`${line}\n`);
        text += `${line}\n`;
        if (line.startsWith("test ")) progress.update(line.slice(5));
      };
      const { code } = await execute("cargo", ["test", "--release", "--locked", "--no-fail-fast"], {
        ...options(context, log),
        onLine,
      });
      const counts = countLibtest(text);
      // An executable that crashed, or a build error, leaves no count.
      return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
    },
  },
];
