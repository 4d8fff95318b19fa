/** The answer of bench/apps/http, from Node's own server. */
import { createServer } from "node:http";

const BODY = "Hello, world!";
const server = createServer((_request, response) => {
  response.sendDate = false;
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8", "content-length": BODY.length });
  response.end(BODY);
});
server.keepAliveTimeout = 0;
server.listen(80, "0.0.0.0", 1_024);
