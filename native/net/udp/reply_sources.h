#pragma once
#include <cstdint>
#include <vector>

#include "net/address.h"
#include "net/environment.h"
#include "net/flow_hash.h"

namespace weir::net::udp {

/// Which address of ours a peer asked last, at a port: the answer must come from there, or the peer
/// does not know it for one (RFC 1122 section 4.1.3.5). Bounded; a newer peer takes an older one's
/// place, whose answer then carries the address that the route says.
class ReplySources {
 public:
  static constexpr uint32_t kEntries = 1024;

  explicit ReplySources(const Environment& environment)
      : hash_key_{environment.random.next(), environment.random.next()}, entries_(kEntries) {}

  void note(uint16_t local_port, const Endpoint& remote, const Address& local) {
    entries_[slot_of(local_port, remote)] = {remote, local, local_port};
  }
  /// nullptr when it is not known.
  const Address* find(uint16_t local_port, const Endpoint& remote) const {
    const Entry& entry = entries_[slot_of(local_port, remote)];
    return entry.local_port == local_port && entry.remote == remote ? &entry.local : nullptr;
  }

 private:
  struct Entry {
    Endpoint remote;
    Address local;
    uint16_t local_port = 0;
  };

  uint32_t slot_of(uint16_t local_port, const Endpoint& remote) const {
    return static_cast<uint32_t>(flow_hash(hash_key_, {{}, local_port}, remote) % kEntries);
  }

  uint64_t hash_key_[2];
  std::vector<Entry> entries_;
};

}  // namespace weir::net::udp
