/** What stats says. */
import { connectionsLimit } from "@weir/guest/env";
import { Client, connectionCount } from "./client";
import { timeOfDay, uptime } from "./clock";
import { Counter, counted } from "./counters";
import { chunkBytes, chunksOfPage, classCount, freePageCount, pagesOfClass, usedOfClass } from "./slab";
import { LONGEST_VALUE_BYTES, itemBytes, itemCount, itemPages, limitBytes } from "./store";

/** The memcached whose behaviour this follows; clients read the numbers. */
export const VERSION: string = "1.6.18-weir";

type Put = (client: Client, name: string, value: string) => void;

function number(put: Put, client: Client, name: string, value: u64): void { put(client, name, value.toString()); }

export function listGeneral(put: Put, client: Client): void {
  number(put, client, "pid", 1);
  number(put, client, "uptime", uptime());
  number(put, client, "time", timeOfDay());
  put(client, "version", VERSION);
  number(put, client, "pointer_size", 32);
  number(put, client, "max_connections", connectionsLimit());
  number(put, client, "curr_connections", connectionCount);
  number(put, client, "total_connections", counted(Counter.TotalConnections));
  number(put, client, "cmd_get", counted(Counter.GetHits) + counted(Counter.GetMisses));
  number(put, client, "cmd_set", counted(Counter.SetCommands));
  number(put, client, "cmd_flush", counted(Counter.FlushCommands));
  number(put, client, "cmd_touch", counted(Counter.TouchHits) + counted(Counter.TouchMisses));
  number(put, client, "get_hits", counted(Counter.GetHits));
  number(put, client, "get_misses", counted(Counter.GetMisses));
  number(put, client, "get_expired", counted(Counter.GetExpired));
  number(put, client, "get_flushed", counted(Counter.GetFlushed));
  number(put, client, "delete_misses", counted(Counter.DeleteMisses));
  number(put, client, "delete_hits", counted(Counter.DeleteHits));
  number(put, client, "incr_misses", counted(Counter.IncrementMisses));
  number(put, client, "incr_hits", counted(Counter.IncrementHits));
  number(put, client, "decr_misses", counted(Counter.DecrementMisses));
  number(put, client, "decr_hits", counted(Counter.DecrementHits));
  number(put, client, "cas_misses", counted(Counter.CasMisses));
  number(put, client, "cas_hits", counted(Counter.CasHits));
  number(put, client, "cas_badval", counted(Counter.CasBadValue));
  number(put, client, "touch_hits", counted(Counter.TouchHits));
  number(put, client, "touch_misses", counted(Counter.TouchMisses));
  number(put, client, "store_too_large", counted(Counter.StoreTooLarge));
  number(put, client, "store_no_memory", counted(Counter.StoreNoMemory));
  number(put, client, "read_buf_oom", counted(Counter.ReadMemoryRefused));
  number(put, client, "slow_readers", counted(Counter.SlowReaders));
  number(put, client, "bytes_read", counted(Counter.BytesRead));
  number(put, client, "bytes_written", counted(Counter.BytesWritten));
  number(put, client, "limit_maxbytes", limitBytes());
  number(put, client, "threads", 1);
  number(put, client, "bytes", itemBytes);
  number(put, client, "curr_items", itemCount);
  number(put, client, "total_items", counted(Counter.TotalItems));
  number(put, client, "slab_global_page_pool", freePageCount);
  number(put, client, "slabs_moved", counted(Counter.PagesEmptied));
  number(put, client, "expired_unfetched", counted(Counter.ExpiredUnfetched));
  number(put, client, "evicted_unfetched", counted(Counter.EvictedUnfetched));
  number(put, client, "evictions", counted(Counter.Evictions));
  number(put, client, "reclaimed", counted(Counter.Reclaimed));
}

export function listSettings(put: Put, client: Client): void {
  number(put, client, "maxbytes", limitBytes());
  number(put, client, "maxconns", connectionsLimit());
  number(put, client, "item_size_max", LONGEST_VALUE_BYTES);
  put(client, "evictions", "on");
  put(client, "cas_enabled", "yes");
  put(client, "binding_protocol", "auto-negotiate");
}

export function listItems(put: Put, client: Client): void {
  for (let i: u32 = 0; i < classCount; ++i) {
    if (usedOfClass(i)) number(put, client, `items:${i + 1}:number`, usedOfClass(i));
  }
}

export function listSlabs(put: Put, client: Client): void {
  let active: u32 = 0;
  for (let i: u32 = 0; i < classCount; ++i) {
    if (!pagesOfClass(i)) continue;
    ++active;
    number(put, client, `${i + 1}:chunk_size`, chunkBytes(i));
    number(put, client, `${i + 1}:chunks_per_page`, chunksOfPage(i));
    number(put, client, `${i + 1}:total_pages`, pagesOfClass(i));
    number(put, client, `${i + 1}:used_chunks`, usedOfClass(i));
  }
  number(put, client, "value_pages", itemPages);
  number(put, client, "active_slabs", active);
}
