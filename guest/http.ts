/** HTTP handlers. */
import { App } from "./http/server";

export { Bytes } from "./bytes";
export { Context } from "./http/context";
export { Json, json, jsonArray } from "./http/json";
export { App } from "./http/server";

/** What the [[listen]] entry "main" (or the only one with http) answers. */
export const app: App = new App("main");

/** What another [[listen]] entry with http answers. */
export function appAt(name: string): App { return new App(name); }
