/** Unix sockets that only their owner may use. */
import { unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";

/** sun_path has 108 bytes with its end. */
const MAX_SOCKET_PATH_BYTES = 107;

/** Whether something answers at `path`. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Throws when `path` is too long for a socket: the kernel would cut it silently. */
export function checkSocketPath(path: string): void {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new Error(`${path} is too long for a socket: at most ${MAX_SOCKET_PATH_BYTES} bytes are possible`);
  }
}

/**
 * Runs `listen` so that the socket it creates has mode 0600 from its first moment, and removes one that nobody answers
 * at. `listen` must create the socket before it returns.
 */
export async function withOwnerOnlySocket<T>(path: string, listen: () => T): Promise<Awaited<T>> {
  checkSocketPath(path);
  if (await answers(path)) throw new Error(`something else already serves ${path}`);
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  const before = process.umask(0o177);
  let result: T;
  try {
    result = listen();
  } finally {
    process.umask(before);
  }
  return await result;
}

/** Lets `server` listen at `path`, owner only. */
export function listenOwnerOnly(server: Server, path: string): Promise<void> {
  return withOwnerOnlySocket(
    path,
    () =>
      new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(path, () => {
          server.off("error", reject);
          resolve();
        });
      }),
  );
}
