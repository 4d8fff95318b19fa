#pragma once
#include <cstdint>
#include <deque>
#include <queue>
#include <span>
#include <vector>

#include "sim/packet.h"
#include "sim/random.h"

namespace weir::sim {

/// What one direction of a link does to frames. Probabilities are those of one frame.
struct LinkConfig {
  /// 0 for as fast as it likes.
  uint64_t rate_bits_per_second = 0;
  uint64_t delay_ns = 0;
  /// Up to this much later, at random; frames stay in order.
  uint64_t jitter_ns = 0;
  /// What may wait for the rate, the frame being sent included; more is lost.
  uint32_t queue_packets = 1000;
  uint32_t queue_bytes = UINT32_MAX;
  /// Random loss.
  double loss = 0;
  /// Bursts (Gilbert): from the good state to the bad one, and back; in the bad one all is lost.
  double burst_begins = 0;
  double burst_ends = 1;
  double duplication = 0;
  /// Up to 15 bits in a row, behind the link header, are turned over: the Internet checksum finds
  /// them all (RFC 1071), and the link's own would have found those in its header.
  double corruption = 0;
  /// A frame may overtake those before it, or fall back, by up to reordering_ns.
  double reordering = 0;
  uint64_t reordering_ns = 0;
  /// IP packets beyond this do not pass; the frame is told apart from other losses by its fate.
  uint32_t mtu_bytes = UINT32_MAX;
  /// ECN-capable packets that find this many bytes waiting are marked (RFC 3168 section 5).
  uint32_t mark_at_bytes = UINT32_MAX;
  /// Nothing passes.
  bool partitioned = false;
};

/// What became of a frame.
enum class Fate : uint8_t { passed, lost, burst, queue_full, partitioned, too_big };
inline constexpr uint32_t kFates = 6;

/// One direction of a link. Time is the caller's: virtual nanoseconds in the simulator, the
/// machine's between two TAPs. The same seed and frames at the same times have the same fates.
class Link {
 public:
  struct Arrival {
    Frame frame;
    bool corrupted = false;
    /// Nobody sent it: it was made up on the way.
    bool forged = false;
    /// The host sees it in a cycle of its own.
    bool alone = false;
  };

  Link(const LinkConfig& config, uint64_t seed) : config_(config), random_(seed) {}

  const LinkConfig& config() const { return config_; }
  /// For what is sent from now on; what is under way arrives as it would have.
  void configure(const LinkConfig& config) { config_ = config; }

  /// `now_ns` never goes back.
  Fate send(std::span<const uint8_t> frame, uint64_t now_ns);
  /// When the next frame arrives; UINT64_MAX for none.
  uint64_t next_ns() const { return flying_.empty() ? UINT64_MAX : flying_.top().at_ns; }
  /// The next frame that has arrived by now. False for none.
  bool receive(uint64_t now_ns, Arrival& arrival);

  /// Bytes and frames that wait for the rate.
  uint32_t queued_bytes() const { return queued_bytes_; }
  uint32_t queued_packets() const { return static_cast<uint32_t>(queue_.size()); }

  struct Counts {
    uint64_t fates[kFates] = {};
    uint64_t duplicated = 0;
    uint64_t corrupted = 0;
    uint64_t reordered = 0;
    uint64_t marked = 0;
    uint64_t delivered = 0;
    uint64_t delivered_bytes = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Flying {
    uint64_t at_ns;
    uint64_t number;
    Arrival arrival;
    bool operator<(const Flying& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : number > other.number;
    }
  };
  struct Queued {
    uint64_t leaves_ns;
    uint32_t bytes;
  };

  Fate decide(std::span<const uint8_t> frame);
  void fly(Frame frame, uint64_t leaves_ns);

  LinkConfig config_;
  Random random_;
  /// The frames before the bottleneck: when each has left it.
  std::deque<Queued> queue_;
  uint32_t queued_bytes_ = 0;
  uint64_t busy_until_ns_ = 0;
  /// Arrival of the last frame that was not reordered.
  uint64_t last_arrival_ns_ = 0;
  bool bursting_ = false;
  uint64_t number_ = 0;
  std::priority_queue<Flying> flying_;
  Counts counts_;
};

/// "lost", for people.
const char* name_of(Fate fate);

}  // namespace weir::sim
