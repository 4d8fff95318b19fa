/// Frames into a stack that listens: each is a flag byte (bit 0: with right checksums; bit 1: a
/// second later), two bytes of length, and the bytes.
#include <algorithm>

#include "fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  constexpr size_t kMostFrames = 32;
  weir::fuzz::Harness harness;
  size_t at = 0;
  for (size_t count = 0; count < kMostFrames && at + 3 <= bytes; count++) {
    const uint8_t flags = data[at];
    size_t length = static_cast<size_t>(data[at + 1] << 8 | data[at + 2]) % 2000;
    at += 3;
    length = std::min(length, bytes - at);
    if ((flags & 2) != 0) harness.advance(1'000'000'000);
    harness.input({data + at, data + at + length}, (flags & 1) != 0);
    at += length;
  }
  return 0;
}
