import { expect, it } from "vitest";
import type { Connection } from "./connection.js";
import { readResponse, requestBytes } from "./http.js";
import { OperationError } from "./waits.js";

/** A connection whose peer has sent `text` and ended. */
function sent(text: string): Connection {
  let rest = Buffer.from(text, "latin1");
  const take = (bytes: number): Uint8Array => {
    const part = rest.subarray(0, bytes);
    rest = rest.subarray(bytes);
    return new Uint8Array(part);
  };
  const readBytes: Connection["readBytes"] = async ({ until: delimiter, bytes, toEnd } = {}) => {
    if (toEnd) return take(rest.length);
    const until = delimiter?.toString();
    const at = until === undefined ? (bytes ?? 0) : rest.indexOf(until) + until.length;
    if (at > rest.length || (until !== undefined && !rest.includes(until))) throw new OperationError("closed", "ended");
    return take(at);
  };
  const read: Connection["read"] = async (options) => new TextDecoder().decode(await readBytes(options));
  return { readBytes, read } as Connection;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

it("writes requests", () => {
  expect(text(requestBytes("/", {}))).toBe("GET / HTTP/1.1\r\nhost: weir.test\r\n\r\n");
  const options = { method: "POST", headers: { Host: "a", "x-b": "c" }, body: "äö" };
  expect(text(requestBytes("/x?y", options))).toMatch(
    /^POST \/x\?y HTTP\/1\.1\r\nHost: a\r\nx-b: c\r\ncontent-length: 4\r\n\r\n/,
  );
});

it("does not write a request that would be two", () => {
  expect(() => requestBytes("/ HTTP/1.1\r\nx: y", {})).toThrow("a line break in");
  expect(() => requestBytes("/", { headers: { x: "a\nb: c" } })).toThrow("a line break in");
});

it("reads an answer with a length", async () => {
  const connection = sent(
    "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nset-cookie: a\r\nset-cookie: b\r\n\r\nhellomore",
  );
  const response = await readResponse(connection, "GET", {});
  expect([response.status, response.statusText, await response.text()]).toEqual([201, "Created", "hello"]);
  expect(response.headers.getSetCookie()).toEqual(["a", "b"]);
});

it("reads an answer in chunks, with extensions and trailer", async () => {
  const body = "5;x=y\r\nhello\r\nB\r\n, and world\r\n0\r\ntrailer: 1\r\n\r\n";
  const response = await readResponse(sent(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body}`), "GET", {});
  expect(await response.text()).toBe("hello, and world");
});

it("reads an answer that ends with the stream, and one without a body", async () => {
  expect(await (await readResponse(sent("HTTP/1.1 200\r\n\r\nall of it"), "GET", {})).text()).toBe("all of it");
  const head = await readResponse(sent("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"), "HEAD", {});
  expect(await head.text()).toBe("");
  expect((await readResponse(sent("HTTP/1.1 204 No Content\r\n\r\n"), "GET", {})).body).toBeNull();
});

it.each([
  ["HELO\r\n\r\n", "this is no status line"],
  ["HTTP/1.1 200 OK\r\nno field\r\n\r\n", "this is no header field"],
  ["HTTP/1.1 200 OK\r\ncontent-length: 1e3\r\n\r\n", "this is no content-length"],
  ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n", "this is no length of a chunk"],
  ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n", "a chunk is longer"],
])("refuses %j", async (answer, message) => {
  await expect(readResponse(sent(answer), "GET", {})).rejects.toThrow(message);
});
