import { beforeAll, expect, test } from "vitest";
import { buildFolder } from "../../guest/testing/build.js";
import { Host } from "../../guest/testing/host.js";

let wasm: Uint8Array;
beforeAll(async () => {
  wasm = (await buildFolder(import.meta.url)).wasm;
}, 60_000);

const get = (request: string): string => {
  const host = new Host(wasm, { listen: { web: "http:80" } });
  const peer = host.connect().send(`${request} HTTP/1.1\r\nhost: hello.example\r\n\r\n`);
  host.run();
  expect(host.refusals).toEqual([]);
  return peer.text();
};

test("hello", () => {
  expect(get("GET /")).toBe(
    "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 17\r\n\r\nhello, visitor 1\n",
  );
});

test("a parameter, as JSON", () => {
  expect(get("GET /users/7")).toMatch(/content-type: application\/json\r\n[\s\S]*\r\n\r\n\{"id":"7","visits":0\}$/);
});

test("a parameter in the query", () => {
  expect(get("POST /sum?n=41")).toMatch(/\r\n\r\n42$/);
  expect(get("POST /sum")).toMatch(/^HTTP\/1.1 400 Bad Request\r\n[\s\S]*n is missing\n$/);
});
