#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "sim/host.h"
#include "sim/observer.h"
#include "sim/plan.h"
#include "sim/random.h"

namespace weir::sim {

/// What somebody on the path does to what reaches a host.
struct Meddling {
  /// Old duplicates whose sequence numbers have come round (RFC 7323 section 5): other bytes, in
  /// the window, with a timestamp of then.
  bool old_duplicates = false;
  /// Blind attacks (RFC 5961): RST and SYN in the window, data with an impossible acknowledgement.
  bool blind_attacks = false;
  /// The peer's SACK blocks lie beyond what was sent, below what was acknowledged, or over what
  /// never arrived; some go missing that were there.
  bool sack_lies = false;
  /// Acknowledgements of data that the receiver does not have yet, and of data never sent.
  bool optimistic_acks = false;
  /// One acknowledgement becomes many that cover a few bytes each (RFC 3465 section 1).
  bool ack_division = false;
  /// A reset that is right, in this state (RFC 9293 section 3.3.2); nullptr for none.
  const char* reset_in_state = nullptr;

  bool any() const {
    return old_duplicates || blind_attacks || sack_lies || optimistic_acks || ack_division ||
           reset_in_state != nullptr;
  }
};

/// Somebody on the path to a host.
class Meddler {
 public:
  Meddler(Host& host, std::deque<Pair>& pairs, const Observer& observer, const Meddling& meddling,
          Random random);

  void stop() { meddling_ = {}; }
  /// A frame on its way to the host; puts what becomes of it into `out`.
  void pass(Link::Arrival arrival, std::vector<Link::Arrival>& out);
  /// The host has finished a cycle: what is made up now is the first that it sees in its next one.
  void between_cycles();
  /// The host has seen what was made up: whether it did what it must, and nothing else. Returns
  /// what is wrong, or nothing.
  std::string judge();
  /// A forged frame did not reach the host after all.
  void forget() { expected_.reset(); }
  uint64_t forged() const { return forged_; }

 private:
  struct Kept {
    Frame frame;
    uint32_t timestamp;
  };
  /// What a made-up segment must do to a connection: end it, or nothing at all.
  struct Expected {
    const Pair* pair;
    bool ends;
    bool impossible_sack;
    uint64_t refused_sacks;
    net::ConnectionInfo before;
    std::string what;
  };

  void tell_sack_lies(Segment& segment, const WireSide& side);
  void divide(const Segment& segment, const WireSide& side, std::vector<Link::Arrival>& out);
  void inject_old_duplicate(Pair& pair);
  void inject_blind_attack(Pair& pair);
  void inject_optimistic_ack(Pair& pair);
  void inject_impossible_sack(Pair& pair);
  void inject_reset(Pair& pair);
  /// A segment from the peer, as it might come now.
  Segment from_peer(const Pair& pair) const;
  /// Puts it before all that waits for the host.
  void forge(const Segment& segment, const Pair& pair, bool ends, const char* what);

  Host& host_;
  std::deque<Pair>& pairs_;
  const Observer& observer_;
  Meddling meddling_;
  Random random_;
  /// Data segments that have arrived, by pair; the newest few.
  std::vector<std::deque<Kept>> kept_;
  std::vector<bool> reset_done_;
  std::optional<Expected> expected_;
  std::vector<uint8_t> payload_;
  uint64_t forged_ = 0;
};

}  // namespace weir::sim
