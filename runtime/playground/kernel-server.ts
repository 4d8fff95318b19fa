/** The server on the kernel's side that the proxy example connects to. */
import { createServer, type Server } from "node:net";

/** First line of every connection, so that a client sees who answers. */
export const GREETING = "weir playground: a kernel server behind the proxy\n";

const MAX_CONNECTIONS = 512;

/** Greets, then sends back what it receives; closes when the client has sent its last byte. */
export async function startKernelServer(host: string, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.write(GREETING);
    socket.pipe(socket);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return server;
}
