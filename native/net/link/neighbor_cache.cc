#include "net/link/neighbor_cache.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/multiply_fold.h"

namespace weir::net::link {

namespace {
/// How many entries are compared when room for a new one is sought.
constexpr uint32_t kEvictionSample = 16;
}  // namespace

NeighborCache::NeighborCache(const NeighborLimits& limits, const Clock& clock,
                             const Environment& environment, Ethernet& ethernet,
                             UnreachableListener& listener)
    : limits_(limits),
      clock_(clock),
      environment_(environment),
      ethernet_(ethernet),
      listener_(listener),
      hash_key_{environment.random.next() | 1, environment.random.next() | 1},
      buckets_(std::bit_ceil(std::max(limits.max_neighbors, 2u)), kNone),
      entries_(std::max(limits.max_neighbors, 1u)),
      waiting_slots_(std::max(limits.max_waiting_total, 1u)) {
  for (uint32_t i = entries_.size(); i-- > 0;) {
    entries_[i].next_in_bucket = free_entry_;
    free_entry_ = i;
  }
  for (uint32_t i = waiting_slots_.size(); i-- > 0;) {
    waiting_slots_[i] = {nullptr, free_slot_};
    free_slot_ = i;
  }
}

NeighborCache::~NeighborCache() {
  for (Entry& entry : entries_)
    while (entry.waiting_count > 0) rte_pktmbuf_free(take_waiting(entry));
}

void NeighborCache::send(rte_mbuf* packet, const Address& next_hop, Resolver& resolver) {
  uint32_t index = find_current(next_hop);
  if (index == kNone) [[unlikely]] {
    // Whoever makes us ask for stations that are not there gets half of the table: the other half
    // is for those that are.
    if (incomplete_ < std::max(limits_.max_neighbors / 2, 1u)) index = enter(next_hop, resolver);
    if (index == kNone) {
      environment_.counters.add(Counter::drop_neighbor_table_full);
      rte_pktmbuf_free(packet);
      return;
    }
    set_state(entries_[index], State::incomplete);
    wait(index, packet);
    ask(index, nullptr);
    return;
  }
  Entry& entry = entries_[index];
  entry.used_us = clock_.now_us;
  switch (entry.state) {
    case State::incomplete:
      wait(index, packet);
      return;
    case State::reachable:
      if (clock_.now_us - entry.confirmed_us < limits_.reachable_us) [[likely]]
        break;
      [[fallthrough]];
    case State::stale:
      set_state(entry, State::probing);
      entry.requests_sent = 0;
      ask(index, &entry.link_address);
      break;
    case State::probing:
    case State::free:
      break;
  }
  transmit(packet, entry);
}

NeighborCache::Ticket NeighborCache::ticket_of(const Address& next_hop) const {
  const uint32_t index = find(next_hop);
  if (index == kNone || entries_[index].state != State::reachable) return {};
  return {index, entries_[index].generation};
}

void NeighborCache::learn(const Address& neighbor, const LinkAddress& link_address,
                          Resolver& resolver) {
  uint32_t index = find_current(neighbor);
  if (index == kNone) {
    index = enter(neighbor, resolver);
    if (index == kNone) return;
  }
  set_reachable(index, link_address);
}

void NeighborCache::confirm(const Address& neighbor, const LinkAddress& link_address) {
  const uint32_t index = find(neighbor);
  if (index == kNone) return;
  if (is_asking(entries_[index])) {
    set_reachable(index, link_address);
  } else {
    update(index, link_address);
  }
}

bool NeighborCache::overhear(const Address& neighbor, const LinkAddress& link_address) {
  const uint32_t index = find(neighbor);
  if (index == kNone) return false;
  update(index, link_address);
  return true;
}

void NeighborCache::note(const Address& neighbor, const LinkAddress& link_address,
                         Resolver& resolver) {
  uint32_t index = find_current(neighbor);
  if (index != kNone) return update(index, link_address);
  index = enter(neighbor, resolver);
  if (index != kNone) entries_[index].link_address = link_address;
}

bool NeighborCache::advertise(const Address& neighbor, const LinkAddress* link_address,
                              bool is_solicited, bool overrides) {
  const uint32_t index = find(neighbor);
  if (index == kNone) return false;
  Entry& entry = entries_[index];
  if (entry.state == State::incomplete) {
    if (link_address == nullptr) return true;
    set_reachable(index, *link_address);
    if (!is_solicited) set_state(entry, State::stale);
    return true;
  }
  const bool differs = link_address != nullptr && *link_address != entry.link_address;
  if (differs && !overrides) {
    // Two stations say that they are it: the one that is known is used on, and asked.
    if (entry.state == State::reachable) set_state(entry, State::stale);
    return true;
  }
  const LinkAddress known = differs ? *link_address : entry.link_address;
  if (is_solicited) {
    set_reachable(index, known);
  } else if (differs) {
    update(index, known);
  }
  return true;
}

/// What a neighbor says unasked changes its entry but does not prove that we reach it there (RFC
/// 4861 section 7.2.5).
void NeighborCache::update(uint32_t index, const LinkAddress& link_address) {
  Entry& entry = entries_[index];
  if (entry.state != State::incomplete && entry.link_address == link_address) return;
  set_reachable(index, link_address);
  set_state(entry, State::stale);
}

void NeighborCache::set_reachable(uint32_t index, const LinkAddress& link_address) {
  Entry& entry = entries_[index];
  if (is_asking(entry)) stop_asking(index);
  set_state(entry, State::reachable);
  entry.link_address = link_address;
  entry.confirmed_us = clock_.now_us;
  entry.requests_sent = 0;
  while (entry.waiting_count > 0) transmit(take_waiting(entry), entry);
}

void NeighborCache::run_timers() {
  while (asked_head_ != kNone && entries_[asked_head_].deadline_us <= clock_.now_us) {
    const uint32_t index = asked_head_;
    Entry& entry = entries_[index];
    stop_asking(index);
    if (entry.state == State::probing) {
      if (entry.requests_sent < limits_.unicast_polls) {
        ask(index, &entry.link_address);
      } else {
        set_state(entry, State::incomplete);
        entry.requests_sent = 0;
        ask(index, nullptr);
      }
      continue;
    }
    if (entry.requests_sent < limits_.requests) {
      ask(index, nullptr);
      continue;
    }
    // Nobody answered. The entry is gone before anybody hears of it, because who does may send
    // again at once.
    rte_mbuf* unsent[kMaxWaitingPerNeighbor];
    uint32_t count = 0;
    while (entry.waiting_count > 0) unsent[count++] = take_waiting(entry);
    remove(index);
    environment_.counters.add(Counter::drop_neighbor_unreachable, count);
    for (uint32_t i = 0; i < count; i++) {
      listener_.on_unreachable(unsent[i]);
      rte_pktmbuf_free(unsent[i]);
    }
  }
}

uint64_t NeighborCache::next_deadline_us() const {
  return asked_head_ == kNone ? UINT64_MAX : entries_[asked_head_].deadline_us;
}

NeighborCache::State NeighborCache::state_of(const Address& neighbor) const {
  const uint32_t index = find(neighbor);
  if (index == kNone) return State::free;
  const Entry& entry = entries_[index];
  if (entry.state == State::reachable && clock_.now_us - entry.confirmed_us >= limits_.reachable_us)
    return State::stale;
  return entry.state;
}

/// A keyed multiply-and-fold hash: peers choose addresses, the key is ours.
uint32_t NeighborCache::bucket_of(const Address& address) const {
  uint64_t halves[2];
  std::memcpy(halves, address.bytes.data(), sizeof halves);
  const uint64_t folded = multiply_fold(halves[0] ^ hash_key_[0], halves[1] ^ hash_key_[1]);
  return static_cast<uint32_t>(folded ^ folded >> 32) & (buckets_.size() - 1);
}

uint32_t NeighborCache::find(const Address& address) const {
  uint32_t index = buckets_[bucket_of(address)];
  while (index != kNone && entries_[index].address != address)
    index = entries_[index].next_in_bucket;
  return index;
}

/// As find, but an entry that was not used for too long is forgotten first.
uint32_t NeighborCache::find_current(const Address& address) {
  const uint32_t index = find(address);
  if (index == kNone) return kNone;
  const Entry& entry = entries_[index];
  if (is_asking(entry) || clock_.now_us - entry.used_us < limits_.unused_us) return index;
  remove(index);
  return kNone;
}

/// A new entry whose link address is still to be set, or kNone.
uint32_t NeighborCache::enter(const Address& address, Resolver& resolver) {
  if (free_entry_ == kNone && evict() == kNone) return kNone;
  const uint32_t index = free_entry_;
  Entry& entry = entries_[index];
  free_entry_ = entry.next_in_bucket;
  entry = Entry{};
  entry.address = address;
  entry.state = State::stale;
  entry.used_us = clock_.now_us;
  entry.resolver = &resolver;
  entry.generation = ++last_generation_;
  if (last_generation_ == 0) entry.generation = ++last_generation_;
  uint32_t& bucket = buckets_[bucket_of(address)];
  entry.next_in_bucket = bucket;
  bucket = index;
  used_++;
  return index;
}

/// Frees the least recently used of a few entries. Those that are being asked for stay, so that
/// nobody can stop an address from ever being resolved.
uint32_t NeighborCache::evict() {
  uint32_t oldest = kNone;
  uint32_t compared = 0;
  for (uint32_t i = 0; i < entries_.size() && compared < kEvictionSample; i++) {
    const uint32_t index = evict_hand_;
    evict_hand_ = evict_hand_ + 1 == entries_.size() ? 0 : evict_hand_ + 1;
    const Entry& entry = entries_[index];
    if (is_asking(entry)) continue;
    compared++;
    if (oldest == kNone || entry.used_us < entries_[oldest].used_us) oldest = index;
  }
  if (oldest != kNone) remove(oldest);
  return oldest;
}

void NeighborCache::remove(uint32_t index) {
  Entry& entry = entries_[index];
  uint32_t* link = &buckets_[bucket_of(entry.address)];
  while (*link != index) link = &entries_[*link].next_in_bucket;
  *link = entry.next_in_bucket;
  set_state(entry, State::free);
  entry.next_in_bucket = free_entry_;
  free_entry_ = index;
  used_--;
}

/// Sends a request and puts the entry at the end of the list of those asked for. Every request
/// waits equally long for its answer, so the list is in order of deadlines.
void NeighborCache::ask(uint32_t index, const LinkAddress* known) {
  Entry& entry = entries_[index];
  entry.requests_sent++;
  entry.deadline_us = clock_.now_us + limits_.request_interval_us;
  entry.asked_previous = asked_tail_;
  entry.asked_next = kNone;
  (asked_tail_ == kNone ? asked_head_ : entries_[asked_tail_].asked_next) = index;
  asked_tail_ = index;
  entry.resolver->solicit(entry.address, known);
}

void NeighborCache::stop_asking(uint32_t index) {
  Entry& entry = entries_[index];
  (entry.asked_previous == kNone ? asked_head_ : entries_[entry.asked_previous].asked_next) =
      entry.asked_next;
  (entry.asked_next == kNone ? asked_tail_ : entries_[entry.asked_next].asked_previous) =
      entry.asked_previous;
}

void NeighborCache::wait(uint32_t index, rte_mbuf* packet) {
  Entry& entry = entries_[index];
  if (entry.waiting_count == kMaxWaitingPerNeighbor ||
      (free_slot_ == kNone && entry.waiting_count > 0)) {
    // The newest packets are the ones to keep (RFC 1122 section 2.3.2.2).
    environment_.counters.add(Counter::drop_neighbor_queue_full);
    rte_pktmbuf_free(take_waiting(entry));
  } else if (free_slot_ == kNone) {
    environment_.counters.add(Counter::drop_neighbor_queue_full);
    rte_pktmbuf_free(packet);
    return;
  }
  const uint32_t slot = free_slot_;
  free_slot_ = waiting_slots_[slot].next;
  waiting_slots_[slot] = {packet, kNone};
  (entry.waiting_tail == kNone ? entry.waiting_head : waiting_slots_[entry.waiting_tail].next) =
      slot;
  entry.waiting_tail = slot;
  entry.waiting_count++;
  waiting_++;
}

rte_mbuf* NeighborCache::take_waiting(Entry& entry) {
  const uint32_t slot = entry.waiting_head;
  rte_mbuf* packet = waiting_slots_[slot].packet;
  entry.waiting_head = waiting_slots_[slot].next;
  if (entry.waiting_head == kNone) entry.waiting_tail = kNone;
  entry.waiting_count--;
  waiting_--;
  waiting_slots_[slot] = {nullptr, free_slot_};
  free_slot_ = slot;
  return packet;
}

void NeighborCache::set_state(Entry& entry, State state) {
  incomplete_ -= entry.state == State::incomplete;
  incomplete_ += state == State::incomplete;
  entry.state = state;
}

void NeighborCache::transmit(rte_mbuf* packet, const Entry& entry) {
  ethernet_.transmit(packet, entry.link_address, entry.address.is_v4() ? kTypeIpv4 : kTypeIpv6);
}

}  // namespace weir::net::link
