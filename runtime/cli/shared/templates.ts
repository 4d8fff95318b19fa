/** The files of a new app. */

/** What a template's files need to know. */
export interface TemplateFacts {
  readonly name: string;
  /** Path of the SDK's tsconfig for handlers. */
  readonly tsconfig: string;
  /** Path of the schema of weir.toml. */
  readonly schema: string;
}

interface Kind {
  readonly listen: string;
  readonly handler: string;
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
  tryIt: "weir exec -- nc -u 10.44.0.2 7",
};

function files(kind: Kind): (facts: TemplateFacts) => Record<string, string> {
  return (facts) => ({
    "weir.toml": `#:schema ${facts.schema}
name = "${facts.name}"
main = "handler.ts"
abi  = 1

[[listen]]
${kind.listen}`,
    "handler.ts": kind.handler,
    "tsconfig.json": `${JSON.stringify({ extends: facts.tsconfig, include: ["**/*.ts"] }, null, 2)}\n`,
    ".gitignore": "node_modules/\n*.wasm\n*.wasm.map\n",
    "README.md": `# ${facts.name}

A weir app. \`handler.ts\` is the handler, \`weir.toml\` says where it listens.

    weir dev      # run it in a playground, again after every edit
    ${kind.tryIt}
    weir deploy   # hand it to a running host
`,
  });
}

/** Templates by name; each gives its files' names and contents. */
export const TEMPLATES = { http: files(HTTP), tcp: files(TCP), udp: files(UDP) } as const;
export type TemplateName = keyof typeof TEMPLATES;
