#pragma once
#include <cstdint>
#include <vector>

#include "net/address.h"
#include "net/clock.h"
#include "net/environment.h"
#include "net/link/ethernet.h"

namespace weir::net::link {

/// Asks the link for an address: ARP for IPv4, neighbor discovery for IPv6.
class Resolver {
 public:
  /// Sends one request for `target`: to `known` alone when given, else to the whole link.
  virtual void solicit(const Address& target, const LinkAddress* known) = 0;

 protected:
  ~Resolver() = default;
};

/// Told of packets that could not go out.
class UnreachableListener {
 public:
  /// `packet` starts at its IP header and is freed after the call.
  virtual void on_unreachable(const rte_mbuf* packet) = 0;

 protected:
  ~UnreachableListener() = default;
};

/// Bounds and times of a neighbor cache.
struct NeighborLimits {
  /// Half of them may be such whose link address is still asked for.
  uint32_t max_neighbors = 1024;
  /// Packets that wait for all neighbors together.
  uint32_t max_waiting_total = 1024;
  uint32_t requests = 3;
  uint64_t request_interval_us = 1'000'000;
  /// How long an answer is believed without asking again: ReachableTime, RFC 4861 section 10.
  uint64_t reachable_us = 30'000'000;
  /// Unicast polls of a known address before it is given up (RFC 1122 section 2.3.2.1: 2).
  uint32_t unicast_polls = 2;
  /// An entry that was not used for so long is forgotten.
  uint64_t unused_us = 600'000'000;
};

/// Which link address a next hop has, for either address family: the states are those of RFC 4861
/// section 7.3.2, without DELAY. A stale entry is used on while one unicast poll a second asks for
/// it (RFC 1122 section 2.3.2.1); when the polls stay without an answer, packets wait and the whole
/// link is asked.
class NeighborCache {
 public:
  enum class State : uint8_t { free, incomplete, reachable, stale, probing };
  /// Packets that wait for one neighbor; RFC 1122 section 2.3.2.2 asks for at least one.
  static constexpr uint32_t kMaxWaitingPerNeighbor = 16;

  NeighborCache(const NeighborLimits& limits, const Clock& clock, const Environment& environment,
                Ethernet& ethernet, UnreachableListener& listener);
  ~NeighborCache();
  NeighborCache(const NeighborCache&) = delete;
  NeighborCache& operator=(const NeighborCache&) = delete;

  /// Sends a packet, which starts at its IP header, to a neighbor, or keeps it until its link
  /// address is known. Takes ownership.
  void send(rte_mbuf* packet, const Address& next_hop, Resolver& resolver);

  /// An entry, as long as it is the same neighbor's.
  struct Ticket {
    uint32_t index = 0;
    /// 0: of no entry.
    uint32_t generation = 0;
  };
  /// The entry of a neighbor that packets go to now without asking; else one of no entry.
  Ticket ticket_of(const Address& next_hop) const;
  /// The neighbor's link address if a packet may go there at once; nullptr if it has to take the
  /// long way through send.
  const LinkAddress* use(const Ticket& ticket) {
    Entry& entry = entries_[ticket.index];
    if (entry.generation != ticket.generation || entry.state != State::reachable ||
        clock_.now_us - entry.confirmed_us >= limits_.reachable_us) [[unlikely]]
      return nullptr;
    entry.used_us = clock_.now_us;
    return &entry.link_address;
  }

  /// The neighbor itself asked for us: it is entered if it is new (RFC 826, "Packet Reception").
  void learn(const Address& neighbor, const LinkAddress& link_address, Resolver& resolver);
  /// An answer to us. It confirms what was asked for and changes what is known; a neighbor that
  /// nobody asked for is not entered.
  void confirm(const Address& neighbor, const LinkAddress& link_address);
  /// The neighbor was heard saying its address to others: only an entry that exists changes. False
  /// if there is none.
  bool overhear(const Address& neighbor, const LinkAddress& link_address);

  /// The neighbor said its address while it asked for something (RFC 4861 sections 7.2.3, 6.2.6 and
  /// 6.3.4): it is entered if it is new, but nothing proves that we reach it.
  void note(const Address& neighbor, const LinkAddress& link_address, Resolver& resolver);
  /// A neighbor advertisement (RFC 4861 section 7.2.5), without a link address where it named none.
  /// False if there is no entry that it could be about.
  bool advertise(const Address& neighbor, const LinkAddress* link_address, bool is_solicited,
                 bool overrides);

  void run_timers();
  uint64_t next_deadline_us() const;

  /// For tests and statistics; `free` when there is no entry.
  State state_of(const Address& neighbor) const;
  uint32_t size() const { return used_; }
  uint32_t waiting() const { return waiting_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Entry {
    Address address;
    LinkAddress link_address;
    State state = State::free;
    uint8_t requests_sent = 0;
    uint32_t next_in_bucket = kNone;
    /// First and last of the packets that wait, indices into waiting_slots_.
    uint32_t waiting_head = kNone;
    uint32_t waiting_tail = kNone;
    uint32_t waiting_count = 0;
    /// Neighbors in the list of those that were asked, by deadline.
    uint32_t asked_next = kNone;
    uint32_t asked_previous = kNone;
    uint64_t deadline_us = 0;
    uint64_t confirmed_us = 0;
    uint64_t used_us = 0;
    Resolver* resolver = nullptr;
    /// Of each neighbor that was ever entered another one.
    uint32_t generation = 0;
  };
  struct WaitingSlot {
    rte_mbuf* packet;
    uint32_t next;
  };

  uint32_t bucket_of(const Address& address) const;
  uint32_t find(const Address& address) const;
  uint32_t find_current(const Address& address);
  uint32_t enter(const Address& address, Resolver& resolver);
  uint32_t evict();
  void set_state(Entry& entry, State state);
  void remove(uint32_t index);
  void ask(uint32_t index, const LinkAddress* known);
  void stop_asking(uint32_t index);
  void set_reachable(uint32_t index, const LinkAddress& link_address);
  void update(uint32_t index, const LinkAddress& link_address);
  void wait(uint32_t index, rte_mbuf* packet);
  rte_mbuf* take_waiting(Entry& entry);
  void transmit(rte_mbuf* packet, const Entry& entry);
  bool is_asking(const Entry& entry) const {
    return entry.state == State::incomplete || entry.state == State::probing;
  }

  NeighborLimits limits_;
  const Clock& clock_;
  Environment environment_;
  Ethernet& ethernet_;
  UnreachableListener& listener_;
  uint64_t hash_key_[2];
  std::vector<uint32_t> buckets_;
  std::vector<Entry> entries_;
  std::vector<WaitingSlot> waiting_slots_;
  uint32_t free_entry_ = kNone;
  uint32_t free_slot_ = kNone;
  uint32_t asked_head_ = kNone;
  uint32_t asked_tail_ = kNone;
  uint32_t used_ = 0;
  uint32_t waiting_ = 0;
  /// Entries whose link address is asked for and not known.
  uint32_t incomplete_ = 0;
  uint32_t evict_hand_ = 0;
  uint32_t last_generation_ = 0;
};

}  // namespace weir::net::link
