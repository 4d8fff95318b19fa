/** A strict reader of the responses that a connection sends, RFC 9112. */

/** One response, without interim ones. */
export interface Response {
  readonly status: number;
  readonly fields: readonly string[];
  readonly body: string;
}

const STATUS_LINE = /^HTTP\/1\.1 (\d{3}) [\x20-\x7e]*$/;
const FIELD_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*$/;

/**
 * Reads all responses in `text` (a byte a character). Throws where a line is malformed, or a length is missing or wrong. The
 * answer to HEAD has a length and no body; `isHead` cannot be known from the response, so a handler that echoes the method
 * must not be asked with it, or says so in its fields.
 */
export function readResponses(text: string): Response[] {
  const responses: Response[] = [];
  let at = 0;
  while (at < text.length) {
    const end = text.indexOf("\r\n\r\n", at);
    if (end < 0) throw new Error(`a response does not end: ${JSON.stringify(text.slice(at))}`);
    const [line = "", ...fields] = text.slice(at, end).split("\r\n");
    const status = Number(STATUS_LINE.exec(line)?.[1]);
    if (Number.isNaN(status)) throw new Error(`no status line: ${JSON.stringify(line)}`);
    const wrong = fields.find((field) => !FIELD_LINE.test(field));
    if (wrong !== undefined) throw new Error(`no field: ${JSON.stringify(wrong)}`);
    at = end + 4;
    // RFC 9110 section 15.2: interim responses; whether one is sent depends on what has come already.
    if (status < 200) continue;
    const lengths = fields.filter((field) => field.startsWith("content-length: "));
    const hasNone = status === 204 || status === 304;
    if (lengths.length !== (hasNone ? 0 : 1)) throw new Error(`${lengths.length} lengths: ${fields.join(", ")}`);
    const announced = hasNone ? 0 : Number(lengths[0]!.slice("content-length: ".length));
    // The answer to HEAD: the next response, or nothing, follows at once.
    const isHead = announced > 0 && (at === text.length || text.startsWith("HTTP/1.1 ", at));
    const bytes = isHead ? 0 : announced;
    if (at + bytes > text.length) throw new Error("a body is shorter than its length");
    responses.push({ status, fields, body: text.slice(at, at + bytes) });
    at += bytes;
  }
  return responses;
}
