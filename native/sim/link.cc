#include "sim/link.h"

#include <algorithm>

namespace weir::sim {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
/// The Internet checksum finds every burst of so many bits.
constexpr uint64_t kLongestBurstBits = 15;

}  // namespace

const char* name_of(Fate fate) {
  static constexpr const char* kNames[kFates] = {"passed",     "lost",        "lost in a burst",
                                                 "queue full", "partitioned", "too big"};
  return kNames[static_cast<uint32_t>(fate)];
}

Fate Link::decide(std::span<const uint8_t> frame) {
  if (config_.partitioned) return Fate::partitioned;
  if (packet_bytes(frame) > config_.mtu_bytes) return Fate::too_big;
  bursting_ =
      bursting_ ? !random_.happens(config_.burst_ends) : random_.happens(config_.burst_begins);
  if (bursting_) return Fate::burst;
  if (random_.happens(config_.loss)) return Fate::lost;
  if (config_.rate_bits_per_second != 0 && (queue_.size() >= config_.queue_packets ||
                                            queued_bytes_ + frame.size() > config_.queue_bytes))
    return Fate::queue_full;
  return Fate::passed;
}

Fate Link::send(std::span<const uint8_t> frame, uint64_t now_ns) {
  while (!queue_.empty() && queue_.front().leaves_ns <= now_ns) {
    queued_bytes_ -= queue_.front().bytes;
    queue_.pop_front();
  }
  const Fate fate = decide(frame);
  counts_.fates[static_cast<uint32_t>(fate)]++;
  if (fate != Fate::passed) return fate;

  Frame copy(frame.begin(), frame.end());
  if (queued_bytes_ >= config_.mark_at_bytes && mark_congestion(copy)) counts_.marked++;
  uint64_t leaves_ns = now_ns;
  if (config_.rate_bits_per_second != 0) {
    busy_until_ns_ = std::max(busy_until_ns_, now_ns) +
                     frame.size() * 8 * kSecondNs / config_.rate_bits_per_second;
    leaves_ns = busy_until_ns_;
    queue_.push_back({leaves_ns, static_cast<uint32_t>(frame.size())});
    queued_bytes_ += static_cast<uint32_t>(frame.size());
  }
  if (random_.happens(config_.duplication)) {
    counts_.duplicated++;
    fly(copy, leaves_ns);
  }
  fly(std::move(copy), leaves_ns);
  return fate;
}

void Link::fly(Frame frame, uint64_t leaves_ns) {
  uint64_t at_ns = leaves_ns + config_.delay_ns + random_.below(config_.jitter_ns + 1);
  if (random_.happens(config_.reordering)) {
    // Later than its due, or ahead of those that jitter holds back.
    at_ns += random_.below(config_.reordering_ns + 1);
    counts_.reordered++;
  } else {
    at_ns = last_arrival_ns_ = std::max(at_ns, last_arrival_ns_);
  }
  bool corrupted = false;
  if (packet_bytes(frame) != 0 && random_.happens(config_.corruption)) {
    const uint64_t first = kEthernetBytes * 8;
    const uint64_t bits =
        std::min<uint64_t>(packet_bytes(frame), frame.size() - kEthernetBytes) * 8;
    const uint64_t length = std::min(random_.between(1, kLongestBurstBits), bits);
    const uint64_t from = first + random_.below(bits - length + 1);
    for (uint64_t i = 0; i < length; i++) {
      // The ends of a burst are wrong, what is between them may be right.
      if (i != 0 && i + 1 != length && random_.one_in(2)) continue;
      frame[(from + i) / 8] ^= static_cast<uint8_t>(0x80 >> (from + i) % 8);
    }
    corrupted = true;
    counts_.corrupted++;
  }
  flying_.push({at_ns, number_++, {std::move(frame), corrupted}});
}

bool Link::receive(uint64_t now_ns, Arrival& arrival) {
  if (next_ns() > now_ns) return false;
  arrival = std::move(const_cast<Flying&>(flying_.top()).arrival);
  flying_.pop();
  counts_.delivered++;
  counts_.delivered_bytes += arrival.frame.size();
  return true;
}

}  // namespace weir::sim
