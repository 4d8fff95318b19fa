/** Which host a verb talks to. */
import { connect } from "node:net";
import { HostClient } from "../../control/client.js";
import { findPlaygrounds, type Playground } from "../../playground/pointer.js";
import { CliError, ExitCode } from "./output.js";

/** Where `weir up` listens unless host.toml says otherwise. */
export const DEFAULT_SOCKET = "/run/weir/api.sock";

const PROBE_TIMEOUT_MS = 2_000;

/** A host that was found, before anything is asked of it. */
export interface Endpoint {
  readonly socket: string;
  /** Set when the host is a playground. */
  readonly playground: Playground | undefined;
}

/** Whether somebody accepts connections on a Unix socket. */
export async function answers(socket: string, timeoutMs = PROBE_TIMEOUT_MS): Promise<boolean> {
  return await new Promise<boolean>((resolve) => {
    const connection = connect({ path: socket });
    const finish = (result: boolean) => {
      clearTimeout(timer);
      connection.destroy();
      resolve(result);
    };
    const timer = setTimeout(finish, timeoutMs, false);
    connection.once("connect", () => finish(true));
    connection.once("error", () => finish(false));
  });
}

/**
 * Finds the host: --socket, else WEIR_SOCKET, else the socket of `weir up` if it answers, else the newest playground.
 * Throws a CliError (unavailable) when there is none.
 */
export async function findHost(options: { readonly socket?: string | undefined }): Promise<Endpoint> {
  const playgrounds = findPlaygrounds();
  const named = options.socket ?? process.env.WEIR_SOCKET;
  if (named !== undefined && named !== "") {
    if (await answers(named)) return { socket: named, playground: playgrounds.find((each) => each.socket === named) };
    throw new CliError(
      `No host answers on ${named}.`,
      ExitCode.unavailable,
      "Is the path right, and the host running?",
    );
  }
  if (await answers(DEFAULT_SOCKET)) return { socket: DEFAULT_SOCKET, playground: undefined };
  for (const playground of playgrounds) {
    if (await answers(playground.socket)) return { socket: playground.socket, playground };
  }
  throw new CliError(
    "No host is running.",
    ExitCode.unavailable,
    "Start one with `npm start` (playground) or `weir up`, or name its socket with --socket.",
  );
}

/** A client of the host that `findHost` finds. */
export async function connectHost(options: { readonly socket?: string | undefined }): Promise<HostClient> {
  return new HostClient((await findHost(options)).socket);
}
