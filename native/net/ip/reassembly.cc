#include "net/ip/reassembly.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "net/link/ethernet.h"
#include "net/packet_bytes.h"

namespace weir::net::ip {

namespace {

uint32_t held_bytes_of(const rte_mbuf* frame) {
  uint32_t bytes = 0;
  for (; frame != nullptr; frame = frame->next) bytes += frame->buf_len;
  return bytes;
}

}  // namespace

Reassembly::Reassembly(const ReassemblyLimits& limits, const Clock& clock,
                       const Environment& environment, ReassemblyListener& listener)
    : limits_(limits),
      clock_(clock),
      environment_(environment),
      listener_(listener),
      datagrams_(std::max(limits.max_datagrams, 1u)) {}

Reassembly::~Reassembly() {
  for (Datagram& datagram : datagrams_)
    if (datagram.used) release(datagram);
}

rte_mbuf* Reassembly::add(const FragmentKey& key, const Fragment& fragment,
                          uint32_t& payload_bytes) {
  rte_mbuf* frame = fragment.frame;
  const auto refuse = [&](Counter reason) {
    environment_.counters.add(reason);
    rte_pktmbuf_free(frame);
    return nullptr;
  };
  environment_.counters.add(Counter::ip_fragments_rx);
  const uint32_t end_bytes = fragment.offset_bytes + fragment.length_bytes;
  // All but the last are multiples of 8 long (RFC 791 section 3.2, RFC 8200 section 4.5).
  if (fragment.length_bytes == 0 || end_bytes > kMaxPayloadBytes ||
      (fragment.more && fragment.length_bytes % 8 != 0))
    return refuse(Counter::drop_fragment_malformed);

  Datagram* datagram = find(key);
  if (datagram == nullptr) datagram = enter(key);
  if (datagram->is_void) return refuse(Counter::drop_fragment_overlap);

  // Where it belongs among the others; most come in order.
  uint32_t at = datagram->count;
  while (at > 0 && datagram->pieces[at - 1].offset_bytes > fragment.offset_bytes) at--;
  const Piece* before = at > 0 ? &datagram->pieces[at - 1] : nullptr;
  const Piece* after = at < datagram->count ? &datagram->pieces[at] : nullptr;
  if (before != nullptr && before->offset_bytes == fragment.offset_bytes &&
      before->length_bytes == fragment.length_bytes)
    return refuse(Counter::drop_fragment_duplicate);
  const bool overlaps =
      (before != nullptr && before->offset_bytes + before->length_bytes > fragment.offset_bytes) ||
      (after != nullptr && after->offset_bytes < end_bytes);
  // Two ends, or something beyond the end, contradict each other in the same way.
  const bool contradicts =
      datagram->total_bytes != UINT32_MAX
          ? end_bytes > datagram->total_bytes || !fragment.more
          : !fragment.more && datagram->count > 0 &&
                datagram->pieces[datagram->count - 1].offset_bytes >= end_bytes;
  if (overlaps || contradicts) {
    rte_pktmbuf_free(frame);
    environment_.counters.add(Counter::drop_fragment_overlap);
    make_void(*datagram);
    return nullptr;
  }
  const uint32_t held_bytes = held_bytes_of(frame);
  if (datagram->count == kMaxFragments || !make_room(*datagram, held_bytes)) {
    // It can never be whole any more.
    drop(*datagram, Counter::drop_fragment_limit);
    return refuse(Counter::drop_fragment_limit);
  }

  for (uint32_t i = datagram->count; i > at; i--) datagram->pieces[i] = datagram->pieces[i - 1];
  datagram->pieces[at] = {frame, fragment.offset_bytes,
                          static_cast<uint16_t>(fragment.length_bytes),
                          static_cast<uint16_t>(fragment.header_bytes)};
  datagram->count++;
  datagram->held_bytes += held_bytes;
  held_bytes_ += held_bytes;
  datagram->received_bytes += fragment.length_bytes;
  if (!fragment.more) datagram->total_bytes = end_bytes;
  if (datagram->received_bytes != datagram->total_bytes) return nullptr;

  payload_bytes = datagram->total_bytes;
  environment_.counters.add(Counter::ip_reassembled);
  return join(*datagram);
}

Reassembly::Datagram* Reassembly::find(const FragmentKey& key) {
  if (waiting_ == 0) return nullptr;
  for (Datagram& datagram : datagrams_)
    if (datagram.used && datagram.key.identification == key.identification && datagram.key == key)
      return &datagram;
  return nullptr;
}

/// A new packet. At the bounds an old one of the same source goes, or the oldest of all.
Reassembly::Datagram* Reassembly::enter(const FragmentKey& key) {
  const auto of_source = std::count_if(
      datagrams_.begin(), datagrams_.end(),
      [&](const Datagram& datagram) { return datagram.used && datagram.key.source == key.source; });
  if (of_source >= limits_.max_datagrams_per_source)
    drop(*oldest(&key.source, nullptr), Counter::drop_fragment_limit);
  if (waiting_ == datagrams_.size()) drop(*oldest(nullptr, nullptr), Counter::drop_fragment_limit);
  for (Datagram& datagram : datagrams_) {
    if (datagram.used) continue;
    datagram.key = key;
    datagram.used = true;
    datagram.is_void = false;
    datagram.number = next_number_++;
    datagram.deadline_us =
        clock_.now_us + (key.source.is_v4() ? limits_.timeout_v4_us : limits_.timeout_v6_us);
    datagram.held_bytes = datagram.received_bytes = datagram.count = 0;
    datagram.total_bytes = UINT32_MAX;
    waiting_++;
    deadline_us_ = std::min(deadline_us_, datagram.deadline_us);
    return &datagram;
  }
  return nullptr;  // there was room, or has been made
}

Reassembly::Datagram* Reassembly::oldest(const Address* source, const Datagram* except) {
  Datagram* found = nullptr;
  for (Datagram& datagram : datagrams_) {
    if (!datagram.used || &datagram == except) continue;
    if (source != nullptr && datagram.key.source != *source) continue;
    if (found == nullptr || datagram.number < found->number) found = &datagram;
  }
  return found;
}

/// Makes room for `bytes` more of a packet by dropping others. False when it is itself too large.
bool Reassembly::make_room(Datagram& datagram, uint32_t bytes) {
  const Address source = datagram.key.source;
  const auto held_of_source = [&] {
    uint32_t held = 0;
    for (const Datagram& other : datagrams_)
      if (other.used && other.key.source == source) held += other.held_bytes;
    return held;
  };
  while (held_of_source() + bytes > limits_.max_bytes_per_source) {
    Datagram* other = oldest(&source, &datagram);
    if (other == nullptr) return false;
    drop(*other, Counter::drop_fragment_limit);
  }
  while (held_bytes_ + bytes > limits_.max_bytes) {
    Datagram* other = oldest(nullptr, &datagram);
    if (other == nullptr) return false;
    drop(*other, Counter::drop_fragment_limit);
  }
  return true;
}

void Reassembly::drop(Datagram& datagram, Counter reason) {
  environment_.counters.add(reason, datagram.count);
  release(datagram);
}

/// The packet stays known, so that what still comes of it is dropped too (RFC 5722 section 4).
void Reassembly::make_void(Datagram& datagram) {
  environment_.counters.add(Counter::drop_fragment_overlap, datagram.count);
  for (uint32_t i = 0; i < datagram.count; i++) rte_pktmbuf_free(datagram.pieces[i].frame);
  held_bytes_ -= datagram.held_bytes;
  datagram.held_bytes = datagram.count = 0;
  datagram.is_void = true;
}

void Reassembly::release(Datagram& datagram) {
  for (uint32_t i = 0; i < datagram.count; i++) rte_pktmbuf_free(datagram.pieces[i].frame);
  held_bytes_ -= datagram.held_bytes;
  datagram.count = 0;
  datagram.used = false;
  waiting_--;
  find_deadline();
}

/// Makes one chain of the pieces: the headers of all but the first are cut off, and link padding of
/// all.
rte_mbuf* Reassembly::join(Datagram& datagram) {
  rte_mbuf* head = datagram.pieces[0].frame;
  rte_mbuf* tail = nullptr;
  for (uint32_t i = 0; i < datagram.count; i++) {
    const Piece& piece = datagram.pieces[i];
    trim_to(piece.frame, piece.header_bytes + piece.length_bytes);
    if (i > 0) {
      // The headers of a fragment lie in its first segment: they have been read there.
      rte_pktmbuf_adj(piece.frame, piece.header_bytes);
      tail->next = piece.frame;
      head->nb_segs = static_cast<uint16_t>(head->nb_segs + piece.frame->nb_segs);
      head->pkt_len += piece.frame->pkt_len;
    }
    tail = rte_pktmbuf_lastseg(piece.frame);
  }
  // What the port said of the first fragment's checksum says nothing of the packet's.
  head->ol_flags &= ~RTE_MBUF_F_RX_L4_CKSUM_MASK;
  datagram.count = 0;
  release(datagram);
  return head;
}

void Reassembly::run_timers() {
  if (clock_.now_us < deadline_us_) return;
  for (Datagram& datagram : datagrams_) {
    if (!datagram.used || datagram.deadline_us > clock_.now_us) continue;
    // RFC 792 and RFC 8200 section 4.5: only who sent the first fragment is told.
    const Piece& first = datagram.pieces[0];
    if (datagram.count > 0 && first.offset_bytes == 0)
      listener_.on_reassembly_timeout({.frame = first.frame,
                                       .transport_offset_bytes = first.header_bytes,
                                       .transport_bytes = first.length_bytes,
                                       .source = datagram.key.source,
                                       .destination = datagram.key.destination,
                                       .checksum_known_good = false});
    drop(datagram, Counter::drop_fragment_timeout);
  }
  find_deadline();
}

void Reassembly::find_deadline() {
  deadline_us_ = UINT64_MAX;
  if (waiting_ == 0) return;
  for (const Datagram& datagram : datagrams_)
    if (datagram.used) deadline_us_ = std::min(deadline_us_, datagram.deadline_us);
}

}  // namespace weir::net::ip
