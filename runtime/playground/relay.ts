/** Passes TCP connections from one network namespace into another: accepted on a socket made outside, connected inside. */
import { connect, type Server, type Socket } from "node:net";

/** More clients than this at once are turned away; they are counted. */
export const MAX_RELAYED_CONNECTIONS = 512;

const CONNECT_TIMEOUT_MS = 5_000;

export interface RelayTarget {
  readonly host: string;
  readonly port: number;
}

/** A running relay. */
export interface Relay {
  /** Open pairs. */
  open(): number;
  /** Clients turned away because of the bound. */
  refused(): number;
  /** Stops accepting and resets what is open. */
  close(): void;
}

/**
 * Joins two sockets. Back-pressure is the pipe's; a half close passes through; an error on one side resets the other,
 * as one connection would.
 */
function join(client: Socket, upstream: Socket): void {
  client.pipe(upstream);
  upstream.pipe(client);
  const couple = (from: Socket, to: Socket) => {
    from.once("error", () => to.resetAndDestroy());
    from.once("close", (hadError) => {
      if (!hadError && !from.readableEnded) to.destroy();
    });
  };
  couple(client, upstream);
  couple(upstream, client);
}

/** Serves every connection of `server` from `target`. The server must be listening; it may come from another process. */
export function relay(server: Server, target: RelayTarget): Relay {
  const pairs = new Set<Socket>();
  let refused = 0;
  // A server that another process handed over lost this option on its way.
  Object.assign(server, { allowHalfOpen: true });
  server.on("connection", (client) => {
    if (pairs.size >= MAX_RELAYED_CONNECTIONS) {
      refused++;
      client.on("error", () => {});
      client.resetAndDestroy();
      return;
    }
    pairs.add(client);
    client.setNoDelay(true);
    const upstream = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => upstream.destroy(new Error("connect timed out")), CONNECT_TIMEOUT_MS);
    upstream.once("connect", () => clearTimeout(timer));
    upstream.once("close", () => clearTimeout(timer));
    client.once("close", () => pairs.delete(client));
    join(client, upstream);
  });
  return {
    open: () => pairs.size,
    refused: () => refused,
    close() {
      server.close();
      for (const client of pairs) client.resetAndDestroy();
    },
  };
}
