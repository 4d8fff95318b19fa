/** The files of a new app. */

/** What a template's files need to know. */
export interface TemplateFacts {
  readonly name: string;
  /** Path of the SDK's tsconfig for handlers. */
  readonly tsconfig: string;
  /** Path of the tsconfig for their tests. */
  readonly testsTsconfig: string;
  /** Path of the schema of weir.toml. */
  readonly schema: string;
}

interface Kind {
  readonly listen: string;
  readonly handler: string;
  /** The body of its tests. */
  readonly tests: string;
  /** A client for what the handler serves. */
  readonly tryIt: string;
}

const HTTP: Kind = {
  listen: 'http = 80\n\n[vars]\nGREETING = "hello"\n',
  handler: `import { app, json } from "@weir/guest/http";
import { variable } from "@weir/guest/config";

const greeting = variable("GREETING") || "hello";
let visits = 0;

app.get("/", c => c.text(\`\${greeting}, visitor \${++visits}\\n\`));

app.get("/users/:id", c => c.json(json().str("id", c.param("id")).num("visits", visits)));
`,
  tests: `test("visitors are greeted and counted", async () => {
  expect(await (await weir.fetch("/")).text()).toBe("hello, visitor 1\\n");
  expect(await (await weir.fetch("/")).text()).toBe("hello, visitor 2\\n");
});

test("over a bad link too", async () => {
  weir.link.set({ delayMs: 40, loss: 0.1 });
  const response = await weir.fetch("/users/7");
  expect(await response.json()).toEqual({ id: "7", visits: 0 });
});
`,
  tryIt: "curl http://127.0.0.1:8080/",
};

const TCP: Kind = {
  listen: "tcp = 7\n",
  handler: `import { Bytes, Connection, listen } from "@weir/guest/tcp";

/** Sends back what it receives, straight from where it was received. */
class Echo extends Connection {
  onData(data: Bytes): void {
    this.send(data);
  }
}

listen<Echo>();
`,
  tests: `test("what comes in goes out", async () => {
  const connection = await weir.connect();
  await connection.write("hello");
  expect(await connection.read({ bytes: 5 })).toBe("hello");
  await connection.end();
  expect(await connection.closed()).toBe("finished");
});

test("over a bad link too", async () => {
  weir.link.set({ delayMs: 40, loss: 0.1 });
  const connection = await weir.connect();
  await connection.write("x".repeat(100_000));
  expect(await connection.read({ bytes: 100_000, withinMs: 300_000 })).toBe("x".repeat(100_000));
});
`,
  tryIt: "weir exec -- nc 10.44.0.2 7",
};

const UDP: Kind = {
  listen: "udp = 7\n",
  handler: `import { bind } from "@weir/guest/udp";

/** Sends every datagram back to its sender. */
bind("main", q => {
  q.reply(q);
});
`,
  tests: `test("every datagram goes back", async () => {
  const socket = weir.udp();
  await socket.send(7, "hello");
  expect((await socket.receive()).text).toBe("hello");
});

test("what the link loses does not", async () => {
  weir.link.loss = 1;
  const socket = weir.udp();
  await socket.send(7, "hello");
  await expect(socket.receive({ withinMs: 1_000 })).rejects.toThrow("no datagram came");
});
`,
  tryIt: "weir exec -- nc -u 10.44.0.2 7",
};

const TESTS_HEAD = `import { host, type TestHost } from "@weir/host/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

let weir: TestHost;
beforeEach(async () => {
  weir = await host({ app: import.meta.dirname });
});
afterEach(() => weir.close());

`;

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

function files(kind: Kind): (facts: TemplateFacts) => Record<string, string> {
  return (facts) => ({
    "weir.toml": `#:schema ${facts.schema}
name = "${facts.name}"
main = "handler.ts"
abi  = 1

[[listen]]
${kind.listen}`,
    "handler.ts": kind.handler,
    "handler.test.ts": `${TESTS_HEAD}${kind.tests}`,
    "tsconfig.json": json({
      extends: facts.tsconfig,
      include: ["**/*.ts"],
      exclude: ["**/*.test.ts"],
      references: [{ path: "./tsconfig.test.json" }],
    }),
    "tsconfig.test.json": json({ extends: facts.testsTsconfig, include: ["**/*.test.ts"] }),
    ".gitignore": "node_modules/\nbuild/\n*.wasm\n*.wasm.map\n",
    "README.md": `# ${facts.name}

A weir app. \`handler.ts\` is the handler, \`handler.test.ts\` its test, \`weir.toml\` says where it listens.

    weir test     # run its tests
    weir dev      # run it in a playground, again after every edit
    ${kind.tryIt}
    weir deploy   # hand it to a running host
`,
  });
}

/** Templates by name; each gives its files' names and contents. */
export const TEMPLATES = { http: files(HTTP), tcp: files(TCP), udp: files(UDP) } as const;
export type TemplateName = keyof typeof TEMPLATES;
