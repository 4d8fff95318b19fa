/** HTTP handlers. */
import type { Bytes } from "./bytes";
export { Bytes } from "./bytes";

export type Handler = (c: Context) => void;

/** A request and its answer. Valid while the handler runs; bytes of the body are copied with copy(). */
export declare class Context {
  /** Status of the answer. */
  status: i32;
  get method(): string;
  /** The path as it was sent, without the query. */
  get path(): string;
  /** The body. Not a copy. */
  get body(): Bytes;
  /** Whether an answer was given. */
  get answered(): bool;
  /** Value of :name in the route's path, or of "*"; empty if the route has none. */
  param(name: string): string;
  /** The first value of that name in the query, decoded, or null. */
  query(name: string): string | null;
  /** The first header field of that name, upper and lower case alike, or null. */
  header(name: string): string | null;
  /** Adds a header field to the answer. False, and nothing is added, if it could not stand in a head or is the server's own. */
  set(name: string, value: string): bool;
  /** Answers with a text. */
  text(text: string): void;
  /** Answers with a page. */
  html(text: string): void;
  /** Answers with JSON. */
  json(value: Json): void;
  /** Answers with bytes. */
  bytes(view: Bytes, type?: string): void;
  /** Answers with another place to go to; status 302 unless given. */
  redirect(location: string, status?: i32): void;
}

/** What a [[listen]] entry with http answers. */
export declare class App {
  constructor(name: string);
  readonly name: string;
  /** Longest body of a request; a longer one is answered with 413. */
  bodyLimit: i32;
  get(path: string, handler: Handler): App;
  post(path: string, handler: Handler): App;
  put(path: string, handler: Handler): App;
  patch(path: string, handler: Handler): App;
  delete(path: string, handler: Handler): App;
  options(path: string, handler: Handler): App;
  /** Answers every method. */
  all(path: string, handler: Handler): App;
  /** Says what answers a method at a path: literal segments, :parameters, and * for the rest. The first that fits answers. */
  on(method: string, path: string, handler: Handler): App;
}

/** An object or array that is being built. Members take a key in objects; in arrays use push…(). */
export declare class Json {
  /** Members of an object. */
  str(key: string, value: string): Json;
  num(key: string, value: f64): Json;
  bool(key: string, value: bool): Json;
  null(key: string): Json;
  /** Opens an object or array, which end() closes. */
  obj(key: string): Json;
  arr(key: string): Json;
  /** Elements of an array. */
  pushStr(value: string): Json;
  pushNum(value: f64): Json;
  pushBool(value: bool): Json;
  pushNull(): Json;
  pushObj(): Json;
  pushArr(): Json;
  /** Closes the innermost object or array. The outermost is closed by itself. */
  end(): Json;
  toString(): string;
}

/** Starts an object. */
export declare function json(): Json;
/** Starts an array. */
export declare function jsonArray(): Json;

/** What the [[listen]] entry "main" (or the only one with http) answers. */
export declare const app: App;
/** What another [[listen]] entry with http answers. */
export declare function appAt(name: string): App;
