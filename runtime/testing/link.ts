/** The link between the host and the test's peers. */
import type { LinkSpec } from "../process/native.js";
import { TestHostError } from "./process.js";

/** What a link does to frames, in both directions unless a direction says otherwise. */
export interface LinkOptions {
  /** One way, milliseconds; default 0. */
  delayMs?: number;
  /** Up to this much later, at random, milliseconds; frames stay in order. Default 0. */
  jitterMs?: number;
  /** Mbit/s; default 0, which is as fast as it likes. */
  rateMbitS?: number;
  /** Frames that may wait for the rate; more are lost. Default 1000. */
  queueFrames?: number;
  /** Probability that a frame is lost, 0 to 1. Default 0, as for those that follow. */
  loss?: number;
  /** Probability that a frame comes twice. */
  duplication?: number;
  /** Probability that some bits of a packet are turned over. */
  corruption?: number;
  /** Probability that a frame comes up to `reorderingMs` later than its turn. */
  reordering?: number;
  /** Milliseconds; default 10. */
  reorderingMs?: number;
  /** Nothing passes. */
  partitioned?: boolean;
}

const DEFAULTS: LinkSpec = {
  rateMbitS: 0,
  delayMs: 0,
  jitterMs: 0,
  queueFrames: 1000,
  loss: 0,
  duplication: 0,
  corruption: 0,
  reordering: 0,
  reorderingMs: 10,
  partitioned: false,
};
const PROBABILITIES: ReadonlySet<string> = new Set(["loss", "duplication", "corruption", "reordering"]);
/** A link to the next star takes longer, but no timer of TCP. */
const MAX_MS = 3_600_000;
const MAX_RATE_MBIT_S = 1_000_000;
const MAX_QUEUE_FRAMES = 1_000_000;

function checked<K extends keyof LinkSpec>(key: K, value: unknown): LinkSpec[K] {
  if (!Object.hasOwn(DEFAULTS, key)) {
    const known = Object.keys(DEFAULTS).join(", ");
    throw new TestHostError("invalid", `a link has no "${key}"; there are ${known}`);
  }
  if (key === "partitioned") {
    if (typeof value !== "boolean") throw new TestHostError("invalid", "partitioned is true or false");
    return value as LinkSpec[K];
  }
  let most = MAX_MS;
  if (PROBABILITIES.has(key)) most = 1;
  if (key === "rateMbitS") most = MAX_RATE_MBIT_S;
  if (key === "queueFrames") most = MAX_QUEUE_FRAMES;
  if (typeof value !== "number" || !(value >= 0 && value <= most)) {
    throw new TestHostError("invalid", `a link's ${key} is a number from 0 to ${most}, not ${String(value)}`);
  }
  return value as LinkSpec[K];
}

/** One direction. Properties may be set at any time: they are for frames that are sent from then on. */
export class LinkDirection implements Required<LinkOptions> {
  private spec: LinkSpec = DEFAULTS;

  constructor(private readonly onChange: () => void) {}

  /** Sets several properties at once. Throws TestHostError for what is none, and for a value that is not possible. */
  set(options: LinkOptions): void {
    const changes: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(options)) {
      if (value !== undefined) changes[key] = checked(key as keyof LinkSpec, value);
    }
    this.spec = { ...this.spec, ...changes };
    this.onChange();
  }

  /** As the host is told. */
  get current(): LinkSpec {
    return this.spec;
  }

  get delayMs(): number {
    return this.current.delayMs;
  }
  set delayMs(value: number) {
    this.set({ delayMs: value });
  }
  get jitterMs(): number {
    return this.current.jitterMs;
  }
  set jitterMs(value: number) {
    this.set({ jitterMs: value });
  }
  get rateMbitS(): number {
    return this.current.rateMbitS;
  }
  set rateMbitS(value: number) {
    this.set({ rateMbitS: value });
  }
  get queueFrames(): number {
    return this.current.queueFrames;
  }
  set queueFrames(value: number) {
    this.set({ queueFrames: value });
  }
  get loss(): number {
    return this.current.loss;
  }
  set loss(value: number) {
    this.set({ loss: value });
  }
  get duplication(): number {
    return this.current.duplication;
  }
  set duplication(value: number) {
    this.set({ duplication: value });
  }
  get corruption(): number {
    return this.current.corruption;
  }
  set corruption(value: number) {
    this.set({ corruption: value });
  }
  get reordering(): number {
    return this.current.reordering;
  }
  set reordering(value: number) {
    this.set({ reordering: value });
  }
  get reorderingMs(): number {
    return this.current.reorderingMs;
  }
  set reorderingMs(value: number) {
    this.set({ reorderingMs: value });
  }
  get partitioned(): boolean {
    return this.current.partitioned;
  }
  set partitioned(value: boolean) {
    this.set({ partitioned: value });
  }
}

/** Both directions: what is set here is set for both. Reading gives what the direction to the host has. */
export class Link extends LinkDirection {
  /** From the peers to the host. */
  readonly toHost: LinkDirection;
  /** From the host to the peers. */
  readonly fromHost: LinkDirection;

  constructor(onChange: (toHost: LinkSpec, fromHost: LinkSpec) => void) {
    const changed = (): void => onChange(this.toHost.current, this.fromHost.current);
    super(() => undefined);
    this.toHost = new LinkDirection(changed);
    this.fromHost = new LinkDirection(changed);
  }

  override set(options: LinkOptions): void {
    this.toHost.set(options);
    this.fromHost.set(options);
  }

  override get current(): LinkSpec {
    return this.toHost.current;
  }
}
