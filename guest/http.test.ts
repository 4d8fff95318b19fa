import { beforeAll, describe, expect, test } from "vitest";
import { buildText } from "./testing/build.js";
import { Host, type HostOptions, type Peer } from "./testing/host.js";

let wasm: Uint8Array;
beforeAll(async () => {
  const app = await buildText(`
import { Bytes, app, json, jsonArray } from "@weir/guest/http";
import { heapBytes } from "@weir/guest/env";
let last = "";
let visits = 0;
app.get("/visits/:id", c => c.text(\`hello \${c.param("id")}, visitor \${++visits}\\n\`));
app.get("/heap", c => c.json(json().num("heap", heapBytes())));
app.bodyLimit = 100_000;
app.get("/", c => c.text("root"));
app.get("/q", c => { const v = c.query("a b"); c.text(v === null ? "none" : v); });
app.get("/users/:id", c => c.text(c.param("id")));
app.get("/users/:id/posts/:post", c => c.text(c.param("id") + "/" + c.param("post")));
app.get("/files/*", c => c.text(c.param("*")));
app.get("/h", c => { const v = c.header("X-Test"); c.text(v === null ? "none" : v); });
app.get("/set", c => { const v = c.query("v"); c.set("x-set", v === null ? "" : v); c.text("set"); });
app.get("/empty", c => { c.status = 204; });
app.get("/moved", c => c.redirect("/"));
app.get("/big", c => c.bytes(Bytes.of("x".repeat(I32.parseInt(c.query("n")!)))));
app.get("/json", c => c.json(json().str("s", "a\\"\\\\\\n\\u0001é😀").num("n", 1.5).bool("b", true).null("z")
  .arr("l").pushNum(1).pushStr("x").pushObj().num("k", 2).end().end().obj("o").num("i", NaN)));
app.get("/array", c => c.json(jsonArray().pushBool(false).pushArr().pushNull()));
app.post("/echo", c => { last = c.body.toString(); c.bytes(c.body); });
app.put("/echo", c => c.text(c.body.length.toString()));
app.get("/last", c => c.text(last));
app.get("/method", c => c.text(c.method + " " + c.path));
`);
  wasm = app.wasm;
}, 120_000);

const LISTEN = { web: "http:80" };
const start = (options: HostOptions = {}): { host: Host; peer: Peer } => {
  const host = new Host(wasm, { listen: LISTEN, ...options });
  const peer = host.connect();
  host.run();
  return { host, peer };
};

const ok = (body: string): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const bytes = (body: string): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
/** An answer after which the connection is closed. */
const refused = (line: string): string =>
  `HTTP/1.1 ${line}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`;
const H = "host: a\r\n";

interface Case {
  readonly name: string;
  readonly request: string;
  readonly response: string;
  readonly closes?: boolean;
}

const answered: readonly Case[] = [
  { name: "GET", request: `GET / HTTP/1.1\r\n${H}\r\n`, response: ok("root") },
  {
    name: "empty lines before the request (RFC 9112 2.2)",
    request: `\r\n\r\nGET / HTTP/1.1\r\n${H}\r\n`,
    response: ok("root"),
  },
  { name: "absolute-form", request: `GET http://a/users/7 HTTP/1.1\r\n${H}\r\n`, response: ok("7") },
  { name: "absolute-form without a path", request: `GET http://a HTTP/1.1\r\n${H}\r\n`, response: ok("root") },
  { name: "two parameters", request: `GET /users/7/posts/8 HTTP/1.1\r\n${H}\r\n`, response: ok("7/8") },
  {
    name: "a parameter with percent-encoding",
    request: `GET /users/a%2Fb+c HTTP/1.1\r\n${H}\r\n`,
    response: ok("a/b+c"),
  },
  { name: "a literal with percent-encoding", request: `GET /%75sers/7 HTTP/1.1\r\n${H}\r\n`, response: ok("7") },
  { name: "the rest of a path", request: `GET /files/a/b.txt HTTP/1.1\r\n${H}\r\n`, response: ok("a/b.txt") },
  { name: "a query", request: `GET /q?x=1&a+b=c%20d+e&y HTTP/1.1\r\n${H}\r\n`, response: ok("c d e") },
  { name: "a query without value", request: `GET /q?a%20b HTTP/1.1\r\n${H}\r\n`, response: ok("") },
  { name: "no such query", request: `GET /q?ab=1 HTTP/1.1\r\n${H}\r\n`, response: ok("none") },
  {
    name: "a header field in another case, with spaces",
    request: `GET /h HTTP/1.1\r\n${H}x-TEST: \t v w \t\r\n\r\n`,
    response: ok("v w"),
  },
  {
    name: "a content-length body",
    request: `POST /echo HTTP/1.1\r\n${H}content-length: 5\r\n\r\nhello`,
    response: bytes("hello"),
  },
  {
    name: "the same content-length twice",
    request: `POST /echo HTTP/1.1\r\n${H}content-length: 2\r\ncontent-length: 2\r\n\r\nok`,
    response: bytes("ok"),
  },
  {
    name: "a chunked body with extension and trailer",
    request: `POST /echo HTTP/1.1\r\n${H}transfer-encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n01\r\n!\r\n0\r\nx-t: 1\r\n\r\n`,
    response: bytes("hello!"),
  },
  {
    name: "pipelining",
    request: `GET /users/1 HTTP/1.1\r\n${H}\r\nPOST /echo HTTP/1.1\r\n${H}content-length: 1\r\n\r\nxGET /users/3 HTTP/1.1\r\n${H}\r\n`,
    response: ok("1") + bytes("x") + ok("3"),
  },
  {
    name: "HEAD",
    request: `HEAD /users/77 HTTP/1.1\r\n${H}\r\nGET / HTTP/1.1\r\n${H}\r\n`,
    response: ok("77").slice(0, -2) + ok("root"),
  },
  { name: "204 has no body", request: `GET /empty HTTP/1.1\r\n${H}\r\n`, response: "HTTP/1.1 204 No Content\r\n\r\n" },
  {
    name: "redirect",
    request: `GET /moved HTTP/1.1\r\n${H}\r\n`,
    response:
      "HTTP/1.1 302 Found\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\nlocation: /\r\n\r\n",
  },
  {
    name: "404",
    request: `GET /nothing HTTP/1.1\r\n${H}\r\n`,
    response: ok("not found\n").replace("200 OK", "404 Not Found"),
  },
  {
    name: "405 with Allow",
    request: `DELETE /echo HTTP/1.1\r\n${H}\r\n`,
    response:
      "HTTP/1.1 405 Method Not Allowed\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 19\r\nallow: POST, PUT\r\n\r\nmethod not allowed\n",
  },
  {
    name: "501",
    request: `BREW / HTTP/1.1\r\n${H}\r\n`,
    response: ok("not implemented\n").replace("200 OK", "501 Not Implemented"),
  },
  {
    name: "connection: close",
    request: `GET / HTTP/1.1\r\n${H}connection: x, Close\r\n\r\n`,
    response: ok("root").replace("4\r\n\r\n", "4\r\nconnection: close\r\n\r\n"),
    closes: true,
  },
  {
    name: "HTTP/1.0 closes",
    request: "GET / HTTP/1.0\r\n\r\n",
    response: ok("root").replace("4\r\n\r\n", "4\r\nconnection: close\r\n\r\n"),
    closes: true,
  },
  {
    name: "HTTP/1.0 with keep-alive",
    request: "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    response: ok("root").replace("4\r\n\r\n", "4\r\nconnection: keep-alive\r\n\r\n"),
  },
  {
    name: "a value with a line break is not set",
    request: `GET /set?v=a%0d%0ax:%20y HTTP/1.1\r\n${H}\r\n`,
    response: ok("set"),
  },
  {
    name: "a value is set",
    request: `GET /set?v=ok HTTP/1.1\r\n${H}\r\n`,
    response: ok("set").replace("3\r\n\r\n", "3\r\nx-set: ok\r\n\r\n"),
  },
  {
    name: "OPTIONS *",
    request: `OPTIONS * HTTP/1.1\r\n${H}\r\n`,
    response: ok("not found\n").replace("200 OK", "404 Not Found"),
  },
  {
    name: "JSON",
    request: `GET /json HTTP/1.1\r\n${H}\r\n`,
    response: ((body) =>
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)(
      Buffer.from(
        '{"s":"a\\"\\\\\\n\\u0001é😀","n":1.5,"b":true,"z":null,"l":[1,"x",{"k":2}],"o":{"i":null}}',
      ).toString("latin1"),
    ),
  },
  {
    name: "a JSON array",
    request: `GET /array HTTP/1.1\r\n${H}\r\n`,
    response: "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n[false,[null]]",
  },
];

const refusedCases: readonly (readonly [string, string, string])[] = [
  ["a line that ends without CR", `GET / HTTP/1.1\n${H}\r\n`, "400 Bad Request"],
  ["lines that all end without CR", "GET / HTTP/1.1\nhost: a\n\n", "400 Bad Request"],
  ["a CR alone", `GET / HTTP/1.1\r\nx: a\rb\r\n${H}\r\n`, "400 Bad Request"],
  ["a space before the colon", `GET / HTTP/1.1\r\nhost : a\r\n\r\n`, "400 Bad Request"],
  ["a folded line", `GET / HTTP/1.1\r\n${H}x: a\r\n b\r\n\r\n`, "400 Bad Request"],
  ["no field name", `GET / HTTP/1.1\r\n${H}: a\r\n\r\n`, "400 Bad Request"],
  ["NUL in a value", `GET / HTTP/1.1\r\n${H}x: a\0b\r\n\r\n`, "400 Bad Request"],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", "400 Bad Request"],
  ["two Hosts", `GET / HTTP/1.1\r\n${H}${H}\r\n`, "400 Bad Request"],
  ["a Host with a slash", "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", "400 Bad Request"],
  ["two spaces in the request line", `GET  / HTTP/1.1\r\n${H}\r\n`, "400 Bad Request"],
  ["no version", `GET /\r\n${H}\r\n`, "400 Bad Request"],
  ["a fragment", `GET /#x HTTP/1.1\r\n${H}\r\n`, "400 Bad Request"],
  ["bad percent-encoding", `GET /%zz HTTP/1.1\r\n${H}\r\n`, "400 Bad Request"],
  ["a target without slash", `GET x HTTP/1.1\r\n${H}\r\n`, "400 Bad Request"],
  ["another version", `GET / HTTP/2.0\r\n${H}\r\n`, "505 HTTP Version Not Supported"],
  ["HTTP/1.2", `GET / HTTP/1.2\r\n${H}\r\n`, "505 HTTP Version Not Supported"],
  ["CONNECT", `CONNECT a:443 HTTP/1.1\r\n${H}\r\n`, "501 Not Implemented"],
  [
    "different content-lengths",
    `POST /echo HTTP/1.1\r\n${H}content-length: 1\r\ncontent-length: 2\r\n\r\nab`,
    "400 Bad Request",
  ],
  ["a list of content-lengths", `POST /echo HTTP/1.1\r\n${H}content-length: 1, 1\r\n\r\na`, "400 Bad Request"],
  ["a negative content-length", `POST /echo HTTP/1.1\r\n${H}content-length: -1\r\n\r\n`, "400 Bad Request"],
  ["a content-length with a plus", `POST /echo HTTP/1.1\r\n${H}content-length: +1\r\n\r\na`, "400 Bad Request"],
  [
    "both framings",
    `POST /echo HTTP/1.1\r\n${H}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    "400 Bad Request",
  ],
  ["chunked in HTTP/1.0", "POST /echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "400 Bad Request"],
  ["another coding", `POST /echo HTTP/1.1\r\n${H}transfer-encoding: gzip\r\n\r\n`, "501 Not Implemented"],
  ["chunked not last", `POST /echo HTTP/1.1\r\n${H}transfer-encoding: chunked, gzip\r\n\r\n`, "400 Bad Request"],
  [
    "a chunk size that is none",
    `POST /echo HTTP/1.1\r\n${H}transfer-encoding: chunked\r\n\r\nx\r\n\r\n`,
    "400 Bad Request",
  ],
  [
    "a chunk longer than its size",
    `POST /echo HTTP/1.1\r\n${H}transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`,
    "400 Bad Request",
  ],
  [
    "a chunk line without CR",
    `POST /echo HTTP/1.1\r\n${H}transfer-encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n`,
    "400 Bad Request",
  ],
  [
    "a chunk of 2^60 bytes",
    `POST /echo HTTP/1.1\r\n${H}transfer-encoding: chunked\r\n\r\n1000000000000000\r\n`,
    "413 Content Too Large",
  ],
  ["a body beyond the limit", `POST /echo HTTP/1.1\r\n${H}content-length: 100001\r\n\r\n`, "413 Content Too Large"],
  ["a long request line", `GET /${"a".repeat(9000)} HTTP/1.1\r\n${H}\r\n`, "414 URI Too Long"],
  ["a long field", `GET / HTTP/1.1\r\n${H}x: ${"a".repeat(9000)}\r\n\r\n`, "431 Request Header Fields Too Large"],
  [
    "another expectation",
    `POST /echo HTTP/1.1\r\n${H}expect: gold\r\ncontent-length: 1\r\n\r\na`,
    "417 Expectation Failed",
  ],
];

const exchange = (host: Host, pieces: readonly string[]): { text: string; peer: Peer } => {
  const peer = host.connect();
  for (const piece of pieces) {
    peer.send(Buffer.from(piece, "latin1"));
    host.run();
  }
  return { text: peer.text(), peer };
};

/** The text in two pieces, for every place where it can be cut, and byte by byte. */
function* splits(text: string): Generator<string[]> {
  yield [text];
  const step = text.length > 2000 ? 617 : 1;
  for (let at = 1; at < text.length; at += step) yield [text.slice(0, at), text.slice(at)];
  if (step === 1) yield [...text];
}

describe("answers are the same however the request is cut", () => {
  test.each(answered.map((c) => [c.name, c] as const))("%s", (_, { request, response, closes }) => {
    const host = new Host(wasm, { listen: LISTEN });
    for (const pieces of splits(request)) {
      const { text, peer } = exchange(host, pieces);
      expect(text).toBe(response);
      expect(peer.finished).toBe(closes ?? false);
      expect(peer.heldBytes).toBe(0);
    }
    expect(host.refusals).toEqual([]);
  });

  test.each(refusedCases)("%s is refused", (_, request, line) => {
    const host = new Host(wasm, { listen: LISTEN });
    for (const pieces of splits(request)) {
      const { text, peer } = exchange(host, pieces);
      expect(text).toBe(refused(line));
      expect(peer.finished).toBe(true);
      expect(peer.heldBytes).toBe(0);
    }
    expect(host.refusals).toEqual([]);
  });
});

describe("bodies", () => {
  test("of 100 kB in pieces, which are given back before the end", () => {
    const { host, peer } = start();
    const body = Array.from({ length: 100_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
    const request = `POST /echo HTTP/1.1\r\n${H}content-length: 100000\r\n\r\n${body}`;
    let held = 0;
    for (let at = 0; at < request.length; at += 1_460) {
      peer.send(request.slice(at, at + 1_460));
      host.run();
      held = Math.max(held, peer.heldBytes);
    }
    expect(held).toBeLessThan(40_000);
    expect(peer.text()).toBe(bytes(body));
    expect(peer.heldBytes).toBe(0);
    peer.send(`GET /last HTTP/1.1\r\n${H}\r\n`);
    host.run();
    expect(peer.text()).toBe(ok(body));
    expect(host.refusals).toEqual([]);
  });

  test("of chunks of one byte", () => {
    const { host, peer } = start();
    const request = `POST /echo HTTP/1.1\r\n${H}transfer-encoding: chunked\r\n\r\n${"1\r\nz\r\n".repeat(30_000)}0\r\n\r\n`;
    for (let at = 0; at < request.length; at += 1_000) {
      peer.send(request.slice(at, at + 1_000));
      host.run();
    }
    expect(peer.text()).toBe(bytes("z".repeat(30_000)));
    expect(peer.heldBytes).toBe(0);
  });

  test("100 Continue is sent when the body is waited for", () => {
    const { host, peer } = start();
    peer.send(`PUT /echo HTTP/1.1\r\n${H}expect: 100-continue\r\ncontent-length: 3\r\n\r\n`);
    host.run();
    expect(peer.text()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("abc");
    host.run();
    expect(peer.text()).toBe(ok("3"));
  });
});

describe("peers that misbehave", () => {
  test("a head that never ends is timed out with 408 after 10 s", () => {
    const { host, peer } = start();
    peer.send("GET / HTTP/1.1\r\n");
    host.run();
    for (let i = 0; i < 9; ++i) {
      host.advance(1_000);
      peer.send(`x-${i}: y\r\n`);
      host.run();
    }
    expect(peer.text()).toBe("");
    host.advance(1_500);
    expect(peer.text()).toBe(refused("408 Request Timeout"));
    expect(peer.finished).toBe(true);
    host.advance(6_000);
    host.run();
    expect(peer.aborted).toBe(true);
  });

  test("an idle connection is closed", () => {
    const { host, peer } = start();
    peer.send(`GET / HTTP/1.1\r\n${H}\r\n`);
    host.run();
    host.advance(59_000);
    expect(peer.finished).toBe(false);
    host.advance(12_000);
    expect(peer.finished).toBe(true);
  });

  test("who pipelines and does not read is not served on until it reads", () => {
    const { host, peer } = start({ acknowledges: false });
    const request = `GET /big?n=4000 HTTP/1.1\r\n${H}\r\n`;
    peer.send(request.repeat(200));
    host.run();
    expect(peer.sentBytes).toBeLessThan(80_000);
    expect(peer.heldBytes).toBeGreaterThan(request.length * 150);
    for (let i = 0; i < 2_000 && peer.sentBytes < 200 * 4_000; ++i) {
      host.acknowledge(8_000);
      host.run();
    }
    for (let i = 0; i < 20; ++i) {
      host.acknowledge(8_000);
      host.run();
    }
    expect(peer.text().split("HTTP/1.1 200 OK").length).toBe(201);
    expect(peer.heldBytes).toBe(0);
    expect(host.refusals).toEqual([]);
  });

  test("an answer beyond the send limit goes out as it is acknowledged", () => {
    const { host, peer } = start({ acknowledges: false, sendLimitBytes: 100_000 });
    peer.send(`GET /big?n=900000 HTTP/1.1\r\n${H}connection: close\r\n\r\n`);
    host.run();
    for (let i = 0; i < 500 && !peer.finished; ++i) {
      host.acknowledge(20_000);
      host.run();
    }
    expect(peer.text().length).toBeGreaterThan(900_000);
    expect(peer.finished).toBe(true);
    expect(host.refusals).toEqual([]);
  });

  test("a thousand requests in one segment fill the command area and go on", () => {
    const { host, peer } = start({ memoryMib: 16, sendLimitBytes: 1 << 24 });
    peer.send(`GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n`.repeat(20_000));
    host.run();
    expect(peer.text().split("root").length).toBe(20_001);
    expect(host.refusals).toEqual([]);
  });

  test("half close after the request is answered", () => {
    const { host, peer } = start();
    peer.send(`GET / HTTP/1.1\r\n${H}\r\n`).end();
    host.run();
    expect(peer.text()).toBe(ok("root"));
    expect(peer.finished).toBe(true);
  });
});

test("an unanswered request is not given back, so a new instance gets it again", () => {
  const { host, peer } = start();
  peer.send(`POST /echo HTTP/1.1\r\n${H}content-length: 10\r\n\r\nhalf`);
  host.run();
  expect(peer.heldBytes).toBeGreaterThan(0);
  const again = new Host(wasm, { listen: LISTEN });
  const inherited = again.connect(0, true);
  inherited.send(`POST /echo HTTP/1.1\r\n${H}content-length: 10\r\n\r\nhalf`).send("second");
  again.run();
  expect(inherited.text()).toBe(bytes("halfsecond"));
});

test("steady requests allocate nothing that stays", () => {
  const { host, peer } = start();
  const get = (path: string): string => {
    peer.send(`GET ${path} HTTP/1.1\r\n${H}\r\n`);
    host.run();
    return peer.text();
  };
  get("/visits/7");
  get("/heap");
  const before = get("/heap");
  for (let i = 1; i < 20_000; ++i) get("/visits/7");
  expect(get("/visits/7")).toMatch(/hello 7, visitor 20001\n$/);
  expect(get("/heap")).toBe(before);
});
