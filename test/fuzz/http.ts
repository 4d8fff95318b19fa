/**
 * Requests into the SDK's HTTP server, once as they are and once in pieces: what it answers must be the same, well-formed
 * HTTP, and come to an end. The module counts for the fuzzer where it has been.
 */
import { readFileSync } from "node:fs";
import { Host, type Peer } from "../../guest/testing/host.js";
import { instrument } from "./instrument-module.js";
import { readResponses } from "./responses.js";

const SPLIT_BYTES = 4;
/** Null pages: no module uses them (docs/abi.md), and the test host maps them. */
const COUNTERS_ADDRESS = 0x1000;
/** What a connection may hold: HOLD_BYTES of guest/http/server.ts, and an event's worth more. */
const MOST_HELD_BYTES = 40 << 10;
/** Longer than all time-outs of the server together. */
const END_MS = 200_000;

const { wasm, count } = instrument(readFileSync(process.env.WEIR_FUZZ_MODULE!), COUNTERS_ADDRESS);
const module = new WebAssembly.Module(wasm);
let counters: Uint8Array | undefined;

/** Called before the first input: `make` gives counters that the fuzzer looks at. */
export function useCounters(make: (count: number) => Uint8Array): void {
  counters = make(count);
}

function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}

/** A new instance takes milliseconds, so one answers many connections; what it leaks ends it then. */
const MOST_CONNECTIONS = 1_000;
const MEMORY_MIB = 4;
let instance: Host | undefined;
let connections = 0;

function theHost(): Host {
  if (instance === undefined || connections >= MOST_CONNECTIONS) {
    instance = new Host(module, { listen: { main: "http:80" }, memoryMib: MEMORY_MIB });
    connections = 0;
  }
  connections++;
  return instance;
}

/** Adds what the module has counted to what the fuzzer sees. */
function report(host: Host): void {
  const counted = host.bytes(COUNTERS_ADDRESS, count);
  if (counters === undefined) return void counted.fill(0);
  for (let i = 0; i < count; i++) {
    const sum = counters[i]! + counted[i]!;
    // A counter that has been up stays up.
    counters[i] = sum > 255 ? 255 : sum;
  }
  counted.fill(0);
}

/** One connection that sends `pieces`. Returns all that it is answered. */
function converse(pieces: readonly Uint8Array[]): string {
  const host = theHost();
  try {
    return talk(host, host.connect(), pieces);
  } catch (error) {
    instance = undefined;
    throw error;
  } finally {
    report(host);
  }
}

function talk(host: Host, peer: Peer, pieces: readonly Uint8Array[]): string {
  host.run();
  for (const piece of pieces) {
    if (peer.aborted || peer.finished) break;
    peer.send(piece);
    host.run();
    expect(peer.heldBytes <= MOST_HELD_BYTES, `a connection holds ${peer.heldBytes} bytes`);
  }
  if (!peer.aborted) peer.end();
  host.run();
  host.advance(END_MS);
  host.run();
  expect(peer.finished || peer.aborted, "a connection stays open for ever");
  expect(host.refusals.length === 0, `the host refuses: ${host.refusals.join(", ")}`);
  if (!peer.aborted) peer.close();
  host.run();
  expect(host.peers.size === 0, "a connection is left");
  return peer.text();
}

/** Cuts `bytes` in pieces, in a way that depends on `seed` alone. */
function cut(bytes: Uint8Array, seed: number): Uint8Array[] {
  let state = seed >>> 0 || 1;
  const below = (bound: number): number => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
  const longest = [1, 3, 17, 200, 2000][below(5)]!;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + below(longest);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

/** Called by the fuzzer. */
export function fuzz(data: Buffer): void {
  if (data.length <= SPLIT_BYTES) return;
  const requests = data.subarray(SPLIT_BYTES);
  const whole = readResponses(converse([requests]));
  const parts = readResponses(converse(cut(requests, data.readUInt32LE(0))));
  expect(
    JSON.stringify(whole) === JSON.stringify(parts),
    `in one piece: ${JSON.stringify(whole)}\nin several: ${JSON.stringify(parts)}`,
  );
}
