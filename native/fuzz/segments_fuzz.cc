/// A sequence of segments, handlers' calls and pauses in an established connection.
#include <fuzzer/FuzzedDataProvider.h>

#include "fuzz/harness.h"
#include "net/stack.h"

namespace {

using weir::sim::Segment;

/// A number near one that matters, or any.
uint32_t near(FuzzedDataProvider& input, uint32_t center) {
  switch (input.ConsumeIntegralInRange<int>(0, 3)) {
    case 0:
      return center;
    case 1:
      return center + static_cast<uint32_t>(input.ConsumeIntegral<int8_t>());
    case 2:
      return center + static_cast<uint32_t>(input.ConsumeIntegral<int16_t>());
    default:
      return input.ConsumeIntegral<uint32_t>();
  }
}

void send_segment(FuzzedDataProvider& input, weir::fuzz::Harness& harness, uint32_t una,
                  uint32_t max) {
  Segment segment = harness.from_peer();
  segment.flags = input.ConsumeIntegral<uint8_t>();
  if (input.ConsumeBool()) segment.flags = weir::sim::kAck;
  segment.sequence = near(input, harness.peer_sequence);
  segment.acknowledgement = near(input, input.ConsumeBool() ? una : max);
  segment.window = input.ConsumeIntegral<uint16_t>();
  segment.urgent = input.ConsumeIntegral<uint8_t>();
  segment.ecn = input.ConsumeIntegral<uint8_t>() & 3;
  if (input.ConsumeBool())
    segment.timestamps = weir::sim::Timestamps{
        near(input, 1000),
        near(input, harness.last_sent().timestamps ? harness.last_sent().timestamps->value : 0)};
  segment.sack_count = input.ConsumeIntegralInRange<uint32_t>(0, 3);
  for (uint32_t i = 0; i < segment.sack_count; i++)
    segment.sacks[i] = {near(input, una), near(input, max)};
  const std::vector<uint8_t> payload(input.ConsumeIntegralInRange<size_t>(0, 1400), 0x55);
  segment.payload = payload;
  const bool in_order = segment.sequence == harness.peer_sequence && (segment.flags & 0x17) == 0x10;
  harness.input(segment);
  // Most of what follows builds on what was accepted.
  if (in_order) harness.peer_sequence += static_cast<uint32_t>(payload.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  constexpr int kMostSteps = 64;
  FuzzedDataProvider input(data, bytes);
  weir::fuzz::Harness harness;
  // MSS 1460, SACK permitted, timestamps, window scale 7; or nothing.
  static constexpr uint8_t kOptions[] = {2, 4,   5, 0xb4, 4, 2, 8, 10, 0, 0,
                                         3, 232, 0, 0,    0, 0, 1, 3,  3, 7};
  harness.handshake(input.ConsumeBool() ? std::span<const uint8_t>(kOptions)
                                        : std::span<const uint8_t>());
  for (int step = 0; step < kMostSteps && input.remaining_bytes() > 0; step++) {
    weir::net::Connection* connection = harness.connection();
    weir::net::Stack& stack = harness.host().stack();
    uint32_t una = harness.last_sent().sequence, max = una;
    if (connection != nullptr) {
      const weir::net::ConnectionInfo info = stack.info(*connection);
      una = info.snd_una;
      max = info.snd_max;
    }
    switch (input.ConsumeIntegralInRange<int>(0, 9)) {
      case 0:
        harness.advance(uint64_t{1'000'000} << input.ConsumeIntegralInRange<int>(0, 17));
        break;
      case 1: {
        const std::vector<uint8_t> message(input.ConsumeIntegralInRange<size_t>(1, 5000), 0x11);
        if (connection != nullptr) stack.send_copy(*connection, message);
        break;
      }
      case 2:
        if (connection != nullptr) stack.close(*connection);
        break;
      case 3:
        if (connection != nullptr) stack.consume(*connection, input.ConsumeIntegral<uint16_t>());
        break;
      case 4:
        harness.refuses = input.ConsumeBool();
        harness.consumes = input.ConsumeBool();
        break;
      default:
        send_segment(input, harness, una, max);
        break;
    }
  }
  return 0;
}
