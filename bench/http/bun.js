/** The answer of bench/apps/http, from Bun. */
/* global Bun */
Bun.serve({
  port: 80,
  idleTimeout: 0,
  fetch: () => new Response("Hello, world!", { headers: { "content-type": "text/plain; charset=utf-8" } }),
});
