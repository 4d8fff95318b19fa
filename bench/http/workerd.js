/** The answer of bench/apps/http, from workerd. */
export default {
  fetch: () => new Response("Hello, world!", { headers: { "content-type": "text/plain; charset=utf-8" } }),
};
