/** HTTP/1.1 over a connection of a test (RFC 9112): as much as a client needs to read what a handler answers. */
import type { Connection, Patience } from "./connection.js";
import { TestHostError } from "./process.js";

/** A request. */
export interface RequestOptions extends Patience {
  /** Default GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Statuses whose answers have no body (RFC 9112 section 6.3). */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 304]);
const MAX_CHUNK_LINE = 8;

/** The bytes of a request. */
export function requestBytes(path: string, options: RequestOptions): Uint8Array {
  const { method = "GET", headers = {}, body } = options;
  const present = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const lines = [`${method} ${path} HTTP/1.1`];
  if (!present.has("host")) lines.push("host: weir.test");
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  const content = typeof body === "string" ? Buffer.from(body) : body;
  if (content !== undefined && !present.has("content-length")) lines.push(`content-length: ${content.length}`);
  for (const line of lines) {
    if (/[\r\n]/.test(line)) {
      throw new TestHostError(
        "invalid",
        `a line break in ${JSON.stringify(line)}: write() sends what fetch() does not`,
      );
    }
  }
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  return content === undefined ? head : Buffer.concat([head, content]);
}

/** Reads one answer. Rejects with TestHostError when what comes is no HTTP. */
export async function readResponse(connection: Connection, method: string, patience: Patience): Promise<Response> {
  const head = Buffer.from(await connection.readBytes({ until: "\r\n\r\n", ...patience })).toString("latin1");
  const [statusLine = "", ...fields] = head.slice(0, -4).split("\r\n");
  const match = /^HTTP\/1\.1 ([2-5]\d\d)(?: (.*))?$/.exec(statusLine);
  if (match === null) throw new TestHostError("invalid", `this is no status line: ${JSON.stringify(statusLine)}`);
  const headers = new Headers();
  for (const field of fields) {
    const colon = field.indexOf(":");
    if (colon <= 0) throw new TestHostError("invalid", `this is no header field: ${JSON.stringify(field)}`);
    headers.append(field.slice(0, colon), field.slice(colon + 1).trim());
  }
  const status = Number(match[1]);
  const hasBody = method !== "HEAD" && !WITHOUT_BODY.has(status);
  const body = hasBody ? await readBody(connection, headers, patience) : null;
  return new Response(body as Uint8Array<ArrayBuffer> | null, { status, statusText: match[2] ?? "", headers });
}

async function readBody(connection: Connection, headers: Headers, patience: Patience): Promise<Uint8Array> {
  if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") return await readChunks(connection, patience);
  const length = headers.get("content-length");
  if (length === null) return await connection.readBytes({ toEnd: true, ...patience });
  if (!/^\d+$/.test(length)) throw new TestHostError("invalid", `this is no content-length: ${length}`);
  return await connection.readBytes({ bytes: Number(length), ...patience });
}

async function readChunks(connection: Connection, patience: Patience): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const line = (await connection.read({ until: "\r\n", ...patience })).slice(0, -2);
    const size = line.split(";")[0]!.trim();
    if (size.length > MAX_CHUNK_LINE || !/^[0-9a-fA-F]+$/.test(size)) {
      throw new TestHostError("invalid", `this is no length of a chunk: ${JSON.stringify(line)}`);
    }
    const bytes = Number.parseInt(size, 16);
    if (bytes === 0) break;
    parts.push(await connection.readBytes({ bytes, ...patience }));
    const end = await connection.read({ bytes: 2, ...patience });
    if (end !== "\r\n") throw new TestHostError("invalid", "a chunk is longer than its length says");
  }
  // Trailer fields, to the empty line.
  while ((await connection.read({ until: "\r\n", ...patience })) !== "\r\n");
  return new Uint8Array(Buffer.concat(parts));
}
