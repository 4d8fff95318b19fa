/// TCP options: up to 40 bytes of them on a SYN, then on an acknowledgement, then on data.
#include <algorithm>

#include "fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  constexpr size_t kMostOptionBytes = 40;
  weir::fuzz::Harness harness;
  size_t at = 0;
  const auto take = [&] {
    const size_t here = std::min(bytes - at, kMostOptionBytes);
    const std::span<const uint8_t> options(data + at, here);
    at += here;
    return options;
  };
  harness.handshake(take());
  static constexpr uint8_t kPayload[10] = {};
  for (int i = 0; i < 4 && at < bytes; i++) {
    weir::sim::Segment segment = harness.from_peer();
    segment.flags = weir::sim::kAck;
    segment.acknowledgement = harness.last_sent().sequence + 1;
    const auto options = take();
    segment.other_options.assign(options.begin(), options.end());
    segment.payload = kPayload;
    harness.input(segment);
    harness.peer_sequence += sizeof kPayload;
    harness.advance(50'000'000);
  }
  return 0;
}
