/** What weir.toml gave the app, as the host wrote it into the info block. */
import { CONFIG_RECORD_BYTES, ConfigKind, ConfigRecord, INFO, Info } from "./abi";
import { decodeUtf8, equalsAscii } from "./text";

// @ts-ignore: decorator
@inline export function info(): Info { return changetype<Info>(INFO); }

// @ts-ignore: decorator
@inline function record(i: u32): ConfigRecord { return changetype<ConfigRecord>(info().config + i * CONFIG_RECORD_BYTES); }

function isProtocol(entry: ConfigRecord, protocol: string): bool {
  const length = protocol.length;
  return <i32>entry.value_bytes > length && equalsAscii(entry.value, length, protocol) && load<u8>(entry.value + length) == 0x3a;
}

/**
 * Index of the [[listen]] entry of that name and protocol ("tcp", "udp", "http"). "main" also means the only entry of the
 * protocol, whatever its name. Without such an entry the instance ends: the app could never be reached.
 */
export function listenIndex(name: string, protocol: string): u32 {
  const count = info().config_count;
  let only: i32 = -1;
  let fitting = 0;
  for (let i: u32 = 0; i < count; ++i) {
    const entry = record(i);
    if (entry.kind != ConfigKind.Listen || !isProtocol(entry, protocol)) continue;
    if (decodeUtf8(entry.name, entry.name_bytes) == name) return entry.index;
    only = <i32>entry.index;
    ++fitting;
  }
  if (name != "main" || fitting != 1) {
    throw new Error(`weir.toml has no [[listen]] entry "${name}" with ${protocol} = PORT`);
  }
  return <u32>only;
}

/** Index of the [[connect]] entry that is written so, or -1. */
export function connectIndex(to: string): i32 {
  const count = info().config_count;
  for (let i: u32 = 0; i < count; ++i) {
    const entry = record(i);
    if (entry.kind == ConfigKind.Connect && decodeUtf8(entry.value, entry.value_bytes) == to) return <i32>entry.index;
  }
  return -1;
}

/** Value of an entry of [vars], or null. */
export function variable(name: string): string | null {
  const count = info().config_count;
  for (let i: u32 = 0; i < count; ++i) {
    const entry = record(i);
    if (entry.kind == ConfigKind.Variable && decodeUtf8(entry.name, entry.name_bytes) == name) {
      return decodeUtf8(entry.value, entry.value_bytes);
    }
  }
  return null;
}
