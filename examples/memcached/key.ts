/** Keys: comparing and hashing. */

// Secret, so that nobody can choose keys that share a bucket.
const secret0 = random64(), secret1 = random64();

function random64(): u64 { return reinterpret<u64>(Math.random()) * 0x9e3779b97f4a7c15 ^ reinterpret<u64>(Math.random()) << 20; }

/** Both halves of the product of 64 by 64 bits, folded into one: every bit of both goes into every bit of it. */
// @ts-ignore: decorator
@inline function fold(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff, aHigh = a >> 32, bLow = b & 0xffffffff, bHigh = b >> 32;
  const low = aLow * bLow, high = aHigh * bHigh;
  const cross = aHigh * bLow + (low >> 32);
  const middle = aLow * bHigh + (cross & 0xffffffff);
  return (high + (cross >> 32) + (middle >> 32)) ^ ((middle << 32) | (low & 0xffffffff));
}

/** Hash of a key, 16 bytes at a time. */
export function hashKey(key: usize, bytes: u32): u32 {
  let hash = secret0 ^ bytes;
  let at = key;
  let left = bytes;
  for (; left > 16; left -= 16, at += 16) hash = fold(load<u64>(at) ^ secret1, load<u64>(at, 8) ^ hash);
  let first: u64, second: u64;
  if (left >= 8) {
    first = load<u64>(at);
    second = load<u64>(at + left - 8);
  } else if (left >= 4) {
    first = load<u32>(at);
    second = load<u32>(at + left - 4);
  } else {
    first = load<u8>(at);
    second = (<u64>load<u8>(at + (left >> 1)) << 8) | load<u8>(at + left - 1);
  }
  hash = fold(first ^ secret1, second ^ hash);
  return <u32>(hash ^ (hash >> 32));
}

/** Whether two keys of the same length are the same. */
export function sameKey(a: usize, b: usize, bytes: u32): bool {
  if (bytes >= 8) {
    const last = bytes - 8;
    if (load<u64>(a) != load<u64>(b) || load<u64>(a + last) != load<u64>(b + last)) return false;
    for (let i: u32 = 8; i < last; i += 8) {
      if (load<u64>(a + i) != load<u64>(b + i)) return false;
    }
    return true;
  }
  if (bytes >= 4) return load<u32>(a) == load<u32>(b) && load<u32>(a + bytes - 4) == load<u32>(b + bytes - 4);
  for (let i: u32 = 0; i < bytes; ++i) {
    if (load<u8>(a + i) != load<u8>(b + i)) return false;
  }
  return true;
}
