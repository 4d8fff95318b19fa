/**
 * Entry of the process that has the test hosts of one test process: `child.js TEMPORARY_FOLDER`. DPDK can be started once
 * in a process, and never in one that belongs to a test runner. It ends with the channel to its parent, and then deletes
 * the parent's temporary folder: test runners kill their processes.
 */
import { rmSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { loadNative } from "../process/native.js";
import { TEMPORARY_PREFIX } from "./module-cache.js";
import type { Reply, Request } from "./protocol.js";
import { Session } from "./session.js";

function serve(temporaryFolder: string): void {
  const native = loadNative();
  const sessions = new Map<number, Session>();
  const reply = (message: Reply): void => void process.send!(message);
  process.on("disconnect", () => {
    if (basename(temporaryFolder).startsWith(TEMPORARY_PREFIX))
      rmSync(temporaryFolder, { recursive: true, force: true });
    process.exit(0);
  });
  process.on("message", (request: Request) => {
    let session = sessions.get(request.host);
    if (session === undefined) {
      session = new Session(native, request.host, reply);
      sessions.set(request.host, session);
    }
    if ("go" in request) session.go();
    else session.handle(request.id, request.operation, request.params);
    if (session.isClosed) sessions.delete(request.host);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Ctrl-C reaches the whole terminal: the test runner decides when this ends.
  process.on("SIGINT", () => undefined);
  process.title = "weir-testing";
  try {
    serve(process.argv[2] ?? "");
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}
