#pragma once
#include <array>
#include <cstdint>

#include "base/multiply_fold.h"
#include "net/address.h"

struct rte_mbuf;

namespace weir::net {

/// Which worker has which flows: a flow's two ends decide its group under a secret key, in either
/// direction the same, and each group belongs to a worker. Made once, read by all workers.
class FlowGroups {
 public:
  static constexpr uint32_t kGroups = 256;

  /// Groups go round the workers, 1 to 256 of them.
  FlowGroups(uint64_t first_key, uint64_t second_key, uint32_t workers)
      : keys_{first_key, second_key | 1} {
    for (uint32_t group = 0; group < kGroups; group++)
      owners_[group] = static_cast<uint8_t>(group % workers);
  }

  uint32_t group_of(const Endpoint& a, const Endpoint& b) const {
    return static_cast<uint32_t>(multiply_fold(hash(a) + hash(b), keys_[1]) % kGroups);
  }
  uint32_t owner_of(const Endpoint& a, const Endpoint& b) const { return owners_[group_of(a, b)]; }

 private:
  uint64_t hash(const Endpoint& end) const {
    return multiply_fold(end.address.low_word() ^ keys_[0],
                         end.address.high_word() ^ uint64_t{end.port} << 16 ^ keys_[1]);
  }

  uint64_t keys_[2];
  std::array<uint8_t, kGroups> owners_;
};

/// Where a stack is one of several behind one port: its flows, and those of the others.
class FlowSteering {
 public:
  /// Whether packets of this flow come to this stack.
  virtual bool is_home(const Endpoint& local, const Endpoint& remote) const = 0;
  /// Takes ownership of a frame that has come to the wrong stack, which could not be told before
  /// its IP packet was whole.
  virtual void send_home(rte_mbuf* frame, const Endpoint& local, const Endpoint& remote) = 0;

 protected:
  ~FlowSteering() = default;
};

}  // namespace weir::net
