/** Errors of a host, as they cross its API. */

/** Codes with the HTTP status they travel as. */
export const ERROR_STATUS = {
  /** The request, the manifest or a name is malformed. */
  invalid: 400,
  /** The tenant may not do this here. */
  forbidden: 403,
  not_found: 404,
  /** Somebody else has what is asked for, a port for example. */
  conflict: 409,
  /** The module, or the number of apps, is beyond a bound. */
  limit: 413,
  /** The module is not admitted, or the dataplane does not take it. */
  refused: 422,
  /** Too many deploys wait; try again. */
  busy: 429,
  internal: 500,
  /** The host or its dataplane is not there (now). */
  unavailable: 503,
  timeout: 504,
} as const;
export type HostErrorCode = keyof typeof ERROR_STATUS;

/** One of several reasons of an error. `file` is the place in words where there is no file. */
export interface ErrorDetail {
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** Why a host did not do what it was asked. */
export class HostError extends Error {
  constructor(
    readonly code: HostErrorCode,
    message: string,
    /** What mends it; "" when the message says it all. */
    readonly hint = "",
    readonly problems: readonly ErrorDetail[] = [],
  ) {
    super(message);
    this.name = "HostError";
  }
}
