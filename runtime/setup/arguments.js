/** The command line as npm hands it over. */

const COMMANDS = ["start", "test", "bench", "sim", "script", "fuzz", "link"];

/**
 * The command and its arguments, or undefined for a wrong command. `npm start -- --check` gives the option to the
 * script; `npm start --check` keeps it and sets npm_config_check. Both mean the same.
 */
export function parseArguments([command, ...given], env) {
  if (!COMMANDS.includes(command)) return undefined;
  const args = [...given];
  if (command === "start" && env.npm_config_check === "true" && !args.includes("--check")) args.unshift("--check");
  return { command, args };
}
