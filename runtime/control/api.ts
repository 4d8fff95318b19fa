/** The host's API: HTTP with JSON over a Unix socket that only its owner may use. */
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import fastify, { type FastifyInstance } from "fastify";
import { MAX_MODULE_BYTES } from "../admit/admit.js";
import { withOwnerOnlySocket } from "../process/owner-socket.js";
import { HostClient } from "./client.js";
import { ERROR_STATUS, HostError } from "./errors.js";
import type { DeployRequest, HostApi, LogQuery } from "./types.js";

/** A module in base64, its source map and the manifest. */
const MAX_BODY_BYTES = Math.ceil(MAX_MODULE_BYTES / 3) * 4 + 20 * 1024 * 1024;
const MAX_CONNECTIONS = 256;

/** A served API. */
export interface ApiServer {
  /** Requests are answered from now on; before, they are told that the host is starting. */
  open(): void;
  close(): Promise<void>;
}

/** Body of PUT /v1/apps/:tenant/:name. */
export interface DeployBody {
  readonly manifest: DeployRequest["manifest"];
  /** The module in base64. */
  readonly wasm: string;
  readonly sourceMap?: string;
  readonly wait?: boolean;
}

function asHostError(error: unknown): HostError {
  if (error instanceof HostError) return error;
  const { statusCode, message } = error as { statusCode?: number; message: string };
  if (statusCode === 413) return new HostError("limit", `the request is larger than ${MAX_BODY_BYTES} bytes`);
  if (statusCode !== undefined && statusCode < 500) return new HostError("invalid", message);
  return new HostError("internal", message);
}

function deployBody(value: unknown): DeployBody {
  const { manifest, wasm, sourceMap, wait } = (value ?? {}) as Record<string, unknown>;
  const bad = (what: string): never => {
    throw new HostError("invalid", `the body's ${what}`);
  };
  if (typeof manifest !== "object" || manifest === null) bad("manifest must be an object");
  if (typeof wasm !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(wasm)) bad("wasm must be base64");
  if (sourceMap !== undefined && typeof sourceMap !== "string") bad("sourceMap must be a string");
  if (wait !== undefined && typeof wait !== "boolean") bad("wait must be true or false");
  return value as DeployBody;
}

function routes(server: FastifyInstance, host: HostApi): void {
  type AppPath = { Params: { tenant: string; name: string } };
  server.get("/v1/host", () => host.info());
  server.get("/v1/apps", () => host.list());
  server.put<AppPath>("/v1/apps/:tenant/:name", async (request) => {
    const { tenant, name } = request.params;
    const { manifest, wasm, sourceMap, wait } = deployBody(request.body);
    if ((manifest as { name?: unknown }).name !== name) {
      throw new HostError("invalid", `the manifest's name is not "${name}" as in the path`);
    }
    return await host.deploy({ manifest, wasm: Buffer.from(wasm, "base64"), sourceMap, tenant, wait });
  });
  server.delete<AppPath>("/v1/apps/:tenant/:name", async (request) => {
    await host.remove(request.params.name, request.params.tenant);
    return {};
  });
  server.get<{ Querystring: Record<string, string> }>("/v1/logs", async (request, reply) => {
    const { app, tenant, follow, since } = request.query;
    if (since !== undefined && !/^\d{1,15}$/.test(since)) throw new HostError("invalid", "since must be a number");
    const ended = new AbortController();
    request.raw.socket.once("close", () => ended.abort());
    const query: LogQuery = {
      app,
      tenant,
      follow: follow === "1",
      since: since === undefined ? undefined : Number(since),
      signal: ended.signal,
    };
    const lines = async function* (): AsyncGenerator<string> {
      for await (const line of host.logs(query)) yield `${JSON.stringify(line)}\n`;
    };
    reply.header("content-type", "application/x-ndjson");
    // The status goes out now: a follower may wait long for its first line.
    reply.raw.on("pipe", () => reply.raw.flushHeaders());
    return reply.send(Readable.from(lines()));
  });
  server.get("/v1/stats", () => host.stats());
  server.post("/v1/stop", (_, reply) => {
    // Answered first: the API ends with the host.
    reply.raw.once("finish", () => void host.stop());
    reply.send({});
  });
}

/** Serves `host` at `path`. Rejects with HostError when somebody else serves there. */
export async function serveApi(host: HostApi, path: string): Promise<ApiServer> {
  const server = fastify({ bodyLimit: MAX_BODY_BYTES, forceCloseConnections: true });
  server.server.maxConnections = MAX_CONNECTIONS;
  let isOpen = false;
  server.addHook("onRequest", async () => {
    if (!isOpen) throw new HostError("unavailable", "the host is starting or ending", "try again in a moment");
  });
  server.setErrorHandler((error, _, reply) => {
    const { code, message, hint, problems } = asHostError(error);
    const body = problems.length === 0 ? { code, message, hint } : { code, message, hint, problems };
    reply.code(ERROR_STATUS[code]).send({ error: body });
  });
  server.setNotFoundHandler((request) => {
    throw new HostError("not_found", `there is no ${request.method} ${request.url}`);
  });
  routes(server, host);
  await server.ready();
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    await withOwnerOnlySocket(
      path,
      () =>
        new Promise<void>((resolve, reject) => {
          server.server.once("error", reject);
          server.server.listen(path, () => {
            server.server.off("error", reject);
            resolve();
          });
        }),
    );
  } catch (error) {
    await server.close();
    const other = await new HostClient(path).info().catch(() => undefined);
    const message = other === undefined ? (error as Error).message : `weir up (pid ${other.pid}) has ${path} already`;
    throw new HostError("conflict", message, "use the one that runs, or end it first");
  }
  return {
    open() {
      isOpen = true;
    },
    async close() {
      isOpen = false;
      await server.close();
      await rm(path, { force: true });
    },
  };
}
