#include "sim/observer.h"

#include <algorithm>
#include <string>

namespace weir::sim {
namespace {

/// RFC 6298 section 2.5: a maximum of the time-out may be set, of 60 seconds at least.
constexpr uint64_t kLeastMaximumTimeoutNs = 60'000'000'000;
/// Limited transmit (RFC 3042) and a tail loss probe (RFC 8985 section 7) go beyond a congestion
/// window.
constexpr uint32_t kSegmentsBeyondWindow = 3;
/// RFC 6928 section 2.
uint32_t initial_window_bytes(uint32_t mss_bytes) {
  return std::min(10 * mss_bytes, std::max(2 * mss_bytes, 14'600u));
}

}  // namespace

Observer::Observer(std::deque<Pair>& pairs, Watcher& watcher)
    : pairs_(pairs), watcher_(watcher), connections_(pairs.size()) {}

Pair* Observer::pair_of(const Segment& segment) const {
  for (const uint16_t port : {segment.source_port, segment.destination_port})
    if (port >= kFirstPort && port < kFirstPort + pairs_.size()) return &pairs_[port - kFirstPort];
  return nullptr;
}

void Observer::fail(const Segment& segment, const WireConnection& connection, uint32_t side,
                    const char* what) {
  const WireSide& own = connection.sides[side];
  const auto relative = [](uint32_t number, uint32_t base) {
    return std::to_string(number - base);
  };
  watcher_.fail(std::string(what) + ": host " + (side == 0 ? "A" : "B") + " sends " +
                describe(segment, own.iss, own.peer_iss) +
                " (relative numbers; it has sent up to " + relative(own.sent_end, own.iss) +
                ", may send up to " + relative(own.peer_edge, own.iss) + ", has received up to " +
                relative(own.received.next(), own.peer_iss) + " and offers up to " +
                relative(own.right_edge, own.peer_iss) + ")");
}

void Observer::on_transmit(Host& host, const Frame& frame) {
  Segment segment;
  const FrameKind kind = parse(frame, segment);
  if (kind == FrameKind::malformed) return watcher_.fail("a malformed TCP segment was sent");
  if (kind == FrameKind::other) return;
  if (!has_right_checksums(frame)) return watcher_.fail("a segment with a wrong checksum was sent");
  if (packet_bytes(frame) > host.config().stack.mtu_bytes)
    return watcher_.fail("a packet longer than the MTU was sent");
  Pair* pair = pair_of(segment);
  if (pair == nullptr) return watcher_.fail("a segment of no connection was sent");
  WireConnection& connection = connections_[static_cast<size_t>(pair->port - kFirstPort)];
  const uint32_t side = host.index();
  // RFC 9293 section 3.5.2: a reset carries nothing, and its numbers may be another's.
  if (segment.has(kRst)) {
    if (segment.length() != 0) fail(segment, connection, side, "a reset with data, SYN or FIN");
    return;
  }
  if (segment.has(kUrg) || segment.reserved != 0)
    return fail(segment, connection, side, "urgent data or reserved bits that nobody asked for");
  if (segment.has(kSyn)) check_syn(host, segment, connection, *pair);
  if (connection.sides[side].ambiguous && !segment.has(kSyn) &&
      pair->ends[side].connection != nullptr) {
    WireSide& own = connection.sides[side];
    const net::ConnectionInfo info = host.stack().info(*pair->ends[side].connection);
    own.ambiguous = false;
    own.iss = info.snd_una - 1;
    own.sent_end = own.acknowledged = info.snd_una;
    own.peer_edge = info.snd_una + info.send_window_bytes;
  }
  if (!connection.sides[side].syn_sent)
    return fail(segment, connection, side, "a segment without a SYN before it");
  check_options(host, segment, connection);
  check_acknowledgement(host, segment, connection);
  if (segment.length() != 0) {
    check_backoff(host, segment, connection);
    check_data(host, segment, connection, *pair);
  }
}

void Observer::check_syn(Host& host, const Segment& segment, WireConnection& connection,
                         const Pair& pair) {
  const uint32_t index = host.index();
  WireSide& side = connection.sides[index];
  if (segment.has(kFin)) fail(segment, connection, index, "SYN and FIN in one segment");
  if (!segment.mss) fail(segment, connection, index, "a SYN without MSS");
  // An old SYN finds nobody, because the connection that it had opened is gone: it opens another
  // one, of which its sender wants to know nothing.
  const End& end = pair.ends[index];
  if (side.syn_sent && segment.sequence != side.iss && segment.has(kAck) &&
      (end.is_over() || !end.opened)) {
    side.ambiguous = !end.is_over();
    side.syn_sent = side.acknowledges = false;
    side.last_timestamps.reset();
    side.copies_ns.clear();
  }
  if (!side.syn_sent) {
    side.syn_sent = true;
    side.address = segment.source;
    side.peer_address = segment.destination;
    side.iss = segment.sequence;
    side.sent_end = side.acknowledged = side.peer_edge = segment.sequence;
  } else if (segment.sequence != side.iss) {
    fail(segment, connection, index, "a second SYN with another sequence number");
  }
  // A SYN that is sent again may know more of the path; its peer may have the first one.
  side.mss_bytes = side.syn_count++ == 0 ? segment.mss.value_or(536)
                                         : std::max(side.mss_bytes, segment.mss.value_or(536));
  side.window_scale = segment.window_scale;
  side.timestamps = segment.timestamps.has_value();
  side.sack_permitted = segment.sack_permitted;
  side.syn_window = segment.window;
  // RFC 7323 section 1.3: a SYN-ACK may carry what the SYN had, and nothing else.
  const WireSide& peer = connection.sides[1 - index];
  if (segment.has(kAck) &&
      ((side.window_scale && !peer.window_scale) || (side.timestamps && !peer.timestamps) ||
       (side.sack_permitted && !peer.sack_permitted)))
    fail(segment, connection, index, "a SYN-ACK with an option that the SYN did not have");
}

void Observer::check_options(Host& host, const Segment& segment, WireConnection& connection) {
  const uint32_t index = host.index();
  WireSide& side = connection.sides[index];
  const bool syn = segment.has(kSyn);
  // RFC 9293 section 3.7.1, RFC 7323 section 2.2, RFC 2018 section 2.
  if (!syn && (segment.mss || segment.window_scale || segment.sack_permitted))
    fail(segment, connection, index, "an option that belongs on a SYN");
  if (!syn && connection.has_timestamps() != segment.timestamps.has_value())
    fail(segment, connection, index, "timestamps are in all segments or in none (RFC 7323, 3.2)");
  if (segment.timestamps) {
    // RFC 7323 section 4.1: the clock does not go back.
    if (side.last_timestamps && seq_lt(segment.timestamps->value, side.last_timestamps->value))
      fail(segment, connection, index, "the timestamp went back");
    if (segment.has(kAck) && !syn && side.last_timestamps &&
        seq_lt(segment.timestamps->echo, side.last_timestamps->echo) &&
        side.last_timestamps->echo != 0)
      fail(segment, connection, index, "the echoed timestamp went back");
    if (segment.has(kAck) && seq_lt(side.newest_timestamp, segment.timestamps->echo))
      fail(segment, connection, index, "a timestamp is echoed that never arrived");
    if (segment.has(kAck)) side.last_timestamps = segment.timestamps;
  }
  // RFC 2018 section 3 and 4.
  if (segment.sack_count != 0 && !connection.has_sack())
    fail(segment, connection, index, "SACK without agreement");
  for (uint32_t i = 0; i < segment.sack_count; i++) {
    const SackBlock& block = segment.sacks[i];
    if (!seq_lt(block.left, block.right)) {
      fail(segment, connection, index, "an empty SACK block");
    } else if (!side.received.has(block.left, block.right)) {
      fail(segment, connection, index, "a SACK block of what never arrived");
    } else if (seq_lt(block.left, segment.acknowledgement + 1) &&
               // RFC 2883 section 4: the first block may tell of a duplicate.
               !(i == 0 && seq_le(block.right, segment.acknowledgement))) {
      fail(segment, connection, index, "a SACK block that begins below the acknowledgement");
    }
  }
}

void Observer::check_acknowledgement(Host& host, const Segment& segment,
                                     WireConnection& connection) {
  const uint32_t index = host.index();
  WireSide& side = connection.sides[index];
  if (!segment.has(kAck)) {
    if (!segment.has(kSyn)) fail(segment, connection, index, "a segment without ACK");
    return;
  }
  if (!side.peer_syn_seen)
    return fail(segment, connection, index, "an acknowledgement of a SYN that never arrived");
  if (seq_lt(side.received.next(), segment.acknowledgement))
    fail(segment, connection, index, "an acknowledgement of what never arrived in order");
  const uint32_t window =
      segment.has(kSyn) ? segment.window : uint32_t{segment.window} << connection.scale(index);
  const uint32_t edge = segment.acknowledgement + window;
  if (!side.acknowledges) {
    // The window of the SYN counts from the peer's first number on.
    side.acknowledges = true;
    side.last_ack = segment.acknowledgement;
    side.right_edge = side.peer_iss + 1 + side.syn_window;
  }
  if (seq_lt(segment.acknowledgement, side.last_ack))
    fail(segment, connection, index, "the acknowledgement number went back");
  // RFC 9293 section 3.8.6.2.2 (SHLD-14): the window is not shrunk.
  if (seq_lt(edge, side.right_edge))
    fail(segment, connection, index, "the right edge of the window went back");
  side.last_ack = segment.acknowledgement;
  side.right_edge = seq_max(side.right_edge, edge);
}

void Observer::check_data(Host& host, const Segment& segment, WireConnection& connection,
                          const Pair& pair) {
  const uint32_t index = host.index();
  WireSide& side = connection.sides[index];
  const WireSide& peer = connection.sides[1 - index];
  const End& end = pair.ends[index];
  const uint32_t first = side.iss + 1;
  if (!segment.payload.empty()) {
    const uint32_t place = segment.sequence - first;
    if (place > end.sent_bytes || segment.payload.size() > end.sent_bytes - place)
      fail(segment, connection, index, "data is sent that the handler never gave");
    else if (!end.sends.matches(place, segment.payload))
      fail(segment, connection, index, "other bytes are sent than the handler gave");
    // RFC 9293 section 3.7.1 and RFC 6691: the peer's MSS less our options.
    const size_t options = segment.timestamps ? 12 : 0;
    if (segment.payload.size() + options > std::max<uint32_t>(peer.mss_bytes, 88))
      fail(segment, connection, index, "a segment longer than the peer's MSS");
  }
  if (segment.has(kFin) &&
      (segment.end() != first + static_cast<uint32_t>(end.send_bytes) + 1 || !end.is_closing))
    fail(segment, connection, index, "a FIN before the end of the stream");

  if (!seq_lt(side.sent_end, segment.end())) return;
  if (!segment.has(kSyn)) {
    // RFC 9293 section 3.8.6: nothing beyond the window, but for a probe's byte or a FIN.
    if (seq_lt(side.peer_edge + 1, segment.end()))
      fail(segment, connection, index, "data beyond the window that the peer offered");
    // Until something is heard: each duplicate acknowledgement lets a segment more go.
    const uint32_t mss = std::max<uint32_t>(peer.mss_bytes, 88);
    if (side.acknowledged - side.iss <= 1 && side.idle_segments == 0 &&
        segment.end() - first > initial_window_bytes(mss) + kSegmentsBeyondWindow * mss + 1)
      fail(segment, connection, index, "more than the initial window (RFC 6928)");
  }
  side.sent_end = segment.end();
}

/// RFC 6298 section 5.5: while nothing is heard, each copy of the oldest segment waits twice as
/// long as the one before.
void Observer::check_backoff(Host& host, const Segment& segment, WireConnection& connection) {
  const uint32_t index = host.index();
  WireSide& side = connection.sides[index];
  if (segment.sequence != side.acknowledged) return;
  const uint64_t failures = host.counters()[Counter::drop_no_mbuf];
  if (failures != no_buffer_count_[index]) {
    no_buffer_count_[index] = failures;
    forget_timing(index);
  }
  std::vector<uint64_t>& copies = side.copies_ns;
  if (segment.sequence != side.copied_sequence) {
    copies.clear();
    side.copied_sequence = segment.sequence;
  }
  copies.push_back(host.now_ns());
  // The first copy may be a tail loss probe, which does not count (RFC 8985 section 7).
  if (copies.size() < 4) return;
  const size_t last = copies.size() - 1;
  const uint64_t waited = copies[last] - copies[last - 1];
  const uint64_t before = copies[last - 1] - copies[last - 2];
  const uint64_t late = host.lateness_ns();
  const uint64_t due = 2 * (before - std::min(before, late));
  if (waited + late < std::min(due, kLeastMaximumTimeoutNs))
    fail(segment, connection, index,
         ("a retransmission after " + std::to_string(waited / 1000) + " us, the one before took " +
          std::to_string(before / 1000) + " us")
             .c_str());
}

void Observer::forget_timing(uint32_t host) {
  for (WireConnection& connection : connections_) connection.sides[host].copies_ns.clear();
}

void Observer::on_input(Host& host, const Link::Arrival& arrival) {
  Segment segment;
  const FrameKind kind = parse(arrival.frame, segment);
  // Some of IPv6's header has no checksum: there is damage that nobody can see.
  if (arrival.corrupted && (kind != FrameKind::tcp || !has_right_checksums(arrival.frame))) return;
  if (kind != FrameKind::tcp) {
    // An answer of ARP lets go of what waited for it, an ICMP error may change a time-out.
    forget_timing(host.index());
    return;
  }
  Pair* pair = pair_of(segment);
  if (pair == nullptr) return;
  WireConnection& connection = connections_[static_cast<size_t>(pair->port - kFirstPort)];
  WireSide& side = connection.sides[host.index()];
  side.copies_ns.clear();
  side.segments++;
  if (segment.has(kRst)) return;
  if (segment.timestamps &&
      (!side.peer_syn_seen || seq_lt(side.newest_timestamp, segment.timestamps->value)))
    side.newest_timestamp = segment.timestamps->value;
  if (!arrival.forged) {
    if (segment.has(kSyn) && !side.peer_syn_seen) {
      side.peer_syn_seen = true;
      side.peer_iss = segment.sequence;
      side.received.start(segment.sequence + 1);
    }
    if (segment.length() != 0 && side.peer_syn_seen)
      side.received.add(segment.sequence, segment.end());
  }
  if (!segment.has(kAck) || !side.syn_sent) return;
  // What the host has sent and lost itself was sent all the same.
  const End& end = pair->ends[host.index()];
  const uint32_t sent = end.connection == nullptr
                            ? side.sent_end
                            : seq_max(side.sent_end, host.stack().info(*end.connection).snd_max);
  if (seq_lt(sent, segment.acknowledgement)) return;
  if (seq_lt(side.acknowledged, segment.acknowledgement))
    side.acknowledged = segment.acknowledgement;
  else
    side.idle_segments++;
  const uint32_t window = segment.has(kSyn)
                              ? segment.window
                              : uint32_t{segment.window} << connection.scale(1 - host.index());
  side.peer_edge = seq_max(side.peer_edge, segment.acknowledgement + window);
}

void Observer::on_loss(const Frame& frame, uint64_t now_ns) {
  Segment segment;
  if (parse(frame, segment) != FrameKind::tcp) return;
  Pair* pair = pair_of(segment);
  if (pair == nullptr) return;
  std::deque<uint64_t>& losses =
      connections_[static_cast<size_t>(pair->port - kFirstPort)].losses_ns;
  if (losses.size() == kLossesKept) losses.pop_front();
  losses.push_back(now_ns);
}

uint32_t Observer::losses_since(const Pair& pair, uint64_t since_ns) const {
  const std::deque<uint64_t>& losses = connection(pair).losses_ns;
  return static_cast<uint32_t>(std::count_if(losses.begin(), losses.end(),
                                             [&](uint64_t at_ns) { return at_ns >= since_ns; }));
}

}  // namespace weir::sim
