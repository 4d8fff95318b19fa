/** What the server counts. */

export enum Counter {
  GetHits,
  GetMisses,
  GetExpired,
  GetFlushed,
  SetCommands,
  FlushCommands,
  TouchHits,
  TouchMisses,
  DeleteHits,
  DeleteMisses,
  IncrementHits,
  IncrementMisses,
  DecrementHits,
  DecrementMisses,
  CasHits,
  CasMisses,
  CasBadValue,
  StoreTooLarge,
  StoreNoMemory,
  TotalItems,
  Evictions,
  EvictedUnfetched,
  Reclaimed,
  ExpiredUnfetched,
  PagesEmptied,
  BytesRead,
  BytesWritten,
  TotalConnections,
  /** Connections that ended because the memory for requests that came in part was used up. */
  ReadMemoryRefused,
  /** Connections that were reset because they do not read, and go on sending. */
  SlowReaders,
  Count,
}

const counters: usize = memory.data(256);

// @ts-ignore: decorator
@inline export function count(which: Counter, by: u64 = 1): void {
  const at = counters + (<usize>which << 3);
  store<u64>(at, load<u64>(at) + by);
}

export function counted(which: Counter): u64 { return load<u64>(counters + (<usize>which << 3)); }

/** Everything begins at 0 again. */
export function resetCounters(): void { memory.fill(counters, 0, <usize>Counter.Count << 3); }
