/** The host's API from outside its process. */
import { request as httpRequest, type IncomingMessage } from "node:http";
import type { DeployBody } from "./api.js";
import { ERROR_STATUS, type ErrorDetail, HostError, type HostErrorCode } from "./errors.js";
import {
  type AppInfo,
  DEFAULT_TENANT,
  type DeployRequest,
  type DeployResult,
  type HostApi,
  type HostInfo,
  type LogLine,
  type LogQuery,
  type Stats,
} from "./types.js";

/** Beyond the time-out of admission and of the dataplane's answers. */
const DEPLOY_TIMEOUT_MS = 180_000;
const TIMEOUT_MS = 60_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_LINE_LENGTH = 1024 * 1024;

/** Speaks to the host at a Unix socket. All methods reject with HostError. */
export class HostClient implements HostApi {
  constructor(readonly socket: string) {}

  info(): Promise<HostInfo> {
    return this.call("GET", "/v1/host");
  }

  deploy({ manifest, wasm, sourceMap, tenant = DEFAULT_TENANT, wait }: DeployRequest): Promise<DeployResult> {
    const body: DeployBody = {
      manifest,
      wasm: Buffer.from(wasm.buffer, wasm.byteOffset, wasm.byteLength).toString("base64"),
      ...(sourceMap !== undefined && { sourceMap }),
      ...(wait !== undefined && { wait }),
    };
    return this.call("PUT", appPath(tenant, manifest.name), body, DEPLOY_TIMEOUT_MS);
  }

  list(): Promise<AppInfo[]> {
    return this.call("GET", "/v1/apps");
  }

  async remove(name: string, tenant = DEFAULT_TENANT): Promise<void> {
    await this.call("DELETE", appPath(tenant, name));
  }

  async *logs(query: LogQuery = {}): AsyncGenerator<LogLine> {
    const { app, tenant, follow, since, signal } = query;
    const parameters = new URLSearchParams();
    if (app !== undefined) parameters.set("app", app);
    if (tenant !== undefined) parameters.set("tenant", tenant);
    if (follow) parameters.set("follow", "1");
    if (since !== undefined) parameters.set("since", String(since));
    const answer = await this.open("GET", `/v1/logs?${parameters}`, undefined, 0, signal);
    if (answer.statusCode !== 200) throw await errorOf(answer);
    let rest = "";
    answer.setEncoding("utf8");
    try {
      for await (const chunk of answer as AsyncIterable<string>) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        if (rest.length > MAX_LINE_LENGTH) throw new HostError("internal", "a log line of the host is too long");
        for (const line of lines) yield JSON.parse(line) as LogLine;
      }
    } catch (error) {
      if (signal?.aborted) return;
      throw error instanceof HostError ? error : unavailable(this.socket, error as NodeJS.ErrnoException);
    } finally {
      answer.destroy();
    }
  }

  stats(): Promise<Stats> {
    return this.call("GET", "/v1/stats");
  }

  async stop(): Promise<void> {
    await this.call("POST", "/v1/stop");
  }

  private async call<T>(method: string, path: string, body?: unknown, timeoutMs = TIMEOUT_MS): Promise<T> {
    const answer = await this.open(method, path, body, timeoutMs);
    if (answer.statusCode !== 200) throw await errorOf(answer);
    return JSON.parse(await textOf(answer)) as T;
  }

  private open(
    method: string,
    path: string,
    body: unknown,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers =
        text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": String(Buffer.byteLength(text)) };
      const outgoing = httpRequest(
        { socketPath: this.socket, method, path, headers, agent: false, ...(signal && { signal }) },
        resolve,
      );
      if (timeoutMs > 0) {
        outgoing.setTimeout(timeoutMs, () => {
          outgoing.destroy(new HostError("timeout", `the host did not answer within ${timeoutMs / 1000} s`));
        });
      }
      outgoing.on("error", (error) => reject(error instanceof HostError ? error : unavailable(this.socket, error)));
      outgoing.end(text);
    });
  }
}

const appPath = (tenant: string, name: string): string =>
  `/v1/apps/${encodeURIComponent(tenant)}/${encodeURIComponent(name)}`;

function unavailable(socket: string, error: NodeJS.ErrnoException): HostError {
  const nobody = error.code === "ENOENT" || error.code === "ECONNREFUSED";
  const why = nobody ? "nobody answers" : error.message;
  return new HostError("unavailable", `the host at ${socket} cannot be reached: ${why}`, "start one with weir up");
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) throw new HostError("internal", "the host's answer is too long");
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof HostError ? error : new HostError("unavailable", (error as Error).message);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function errorOf(answer: IncomingMessage): Promise<HostError> {
  const text = await textOf(answer);
  try {
    const { code, message, hint, problems } = (
      JSON.parse(text) as {
        error: { code: HostErrorCode; message: string; hint: string; problems?: ErrorDetail[] };
      }
    ).error;
    if (Object.hasOwn(ERROR_STATUS, code)) return new HostError(code, message, hint, problems);
  } catch {
    // Not ours: told as it is.
  }
  return new HostError("internal", `the host answered ${answer.statusCode}: ${text.slice(0, 200)}`);
}
