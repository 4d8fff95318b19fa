/** What the playground's outer process (in the host's network) and its inner one (in the namespace) say to each other. */
import type { RelayTarget } from "./relay.js";

export type ToInner =
  /** The listening server comes with the message. */
  { readonly kind: "relay"; readonly id: string; readonly target: RelayTarget } | { readonly kind: "stop" };

export type FromInner =
  | { readonly kind: "ready" }
  | { readonly kind: "relaying"; readonly id: string }
  | { readonly kind: "failed"; readonly message: string };
