#include "sim/meddler.h"

#include <algorithm>
#include <cstring>

#include "net/tcp/connection.h"
#include "sim/scenario.h"

namespace weir::sim {
namespace {

constexpr size_t kKeptSegments = 8;
/// Of the cycles of a host, so many pass between two injections into a connection.
constexpr uint64_t kInjectOneIn = 24;
constexpr uint32_t kForgedBytes = 600;

}  // namespace

Meddler::Meddler(Host& host, std::deque<Pair>& pairs, const Observer& observer,
                 const Meddling& meddling, Random random)
    : host_(host),
      pairs_(pairs),
      observer_(observer),
      meddling_(meddling),
      random_(random),
      kept_(pairs.size()),
      reset_done_(pairs.size()) {
  for (uint32_t i = 0; i < kForgedBytes; i++)
    payload_.push_back(static_cast<uint8_t>(random_.next()));
}

void Meddler::pass(Link::Arrival arrival, std::vector<Link::Arrival>& out) {
  Segment segment;
  Pair* pair = nullptr;
  if (meddling_.any() && !arrival.corrupted && parse(arrival.frame, segment) == FrameKind::tcp)
    pair = observer_.pair_of(segment);
  if (pair == nullptr || segment.has(kSyn) || segment.has(kRst)) {
    out.push_back(std::move(arrival));
    return;
  }
  const WireSide& side = observer_.connection(*pair).sides[host_.index()];
  if (meddling_.old_duplicates && segment.timestamps && !segment.payload.empty()) {
    auto& kept = kept_[static_cast<size_t>(pair->port - kFirstPort)];
    if (kept.size() < kKeptSegments || random_.one_in(16)) {
      if (kept.size() == kKeptSegments) kept.pop_front();
      kept.push_back({arrival.frame, segment.timestamps->value});
    }
  }
  const bool pure = segment.length() == 0 && segment.has(kAck);
  if (meddling_.ack_division && pure && seq_lt(side.acknowledged + 1, segment.acknowledgement) &&
      random_.one_in(2))
    divide(segment, side, out);
  if (meddling_.sack_lies && segment.has(kAck) && segment.payload.size() < 500 &&
      random_.one_in(4)) {
    tell_sack_lies(segment, side);
    arrival.frame = encode(segment);
  }
  out.push_back(std::move(arrival));
}

void Meddler::tell_sack_lies(Segment& segment, const WireSide& side) {
  // A receiver may take back what it said (RFC 2018 section 8).
  if (random_.one_in(4)) {
    segment.sack_count = 0;
    return;
  }
  const auto some = [&] { return static_cast<uint32_t>(1 + random_.below(3000)); };
  const uint32_t sent = side.sent_end - side.acknowledged;
  segment.sack_count = static_cast<uint32_t>(random_.between(1, 3));
  for (uint32_t i = 0; i < segment.sack_count; i++) {
    uint32_t left = 0, length = some();
    switch (random_.below(6)) {
      case 0:  // beyond all that was sent
        left = side.sent_end + some();
        break;
      case 1:  // begins in what was sent, ends beyond it
        left = side.sent_end - std::min(sent, some());
        length = sent + some();
        break;
      case 2:  // below what was acknowledged
        left = side.acknowledged - 3000 - some();
        break;
      case 3:  // from below to above
        left = side.acknowledged - some();
        length = some() + 3000;
        break;
      case 4:  // under way, and perhaps lost
        left = side.acknowledged + static_cast<uint32_t>(random_.below(sent + 1));
        length = std::min(length, side.sent_end - left);
        break;
      default:  // turned round
        left = side.acknowledged + some();
        length = 0u - some();
        break;
    }
    segment.sacks[i] = {left, left + length};
  }
}

void Meddler::divide(const Segment& segment, const WireSide& side,
                     std::vector<Link::Arrival>& out) {
  const uint32_t advance = segment.acknowledgement - side.acknowledged;
  const auto parts = static_cast<uint32_t>(random_.between(2, 20));
  Segment part = segment;
  for (uint32_t i = 1; i < parts && i < advance; i++) {
    part.acknowledgement = side.acknowledged + static_cast<uint32_t>(uint64_t{advance} * i / parts);
    out.push_back({.frame = encode(part), .corrupted = false, .forged = true});
    forged_++;
  }
}

Segment Meddler::from_peer(const Pair& pair) const {
  const uint32_t index = host_.index();
  const bool opener = pair.opener == index;
  const WireConnection& connection = observer_.connection(pair);
  const WireSide& side = connection.sides[index];
  Segment segment;
  segment.source_link = link_address_of(1 - index);
  segment.destination_link = link_address_of(index);
  segment.source = side.peer_address;
  segment.destination = side.address;
  segment.source_port = opener ? pair.port : pair.opener_port;
  segment.destination_port = opener ? pair.opener_port : pair.port;
  segment.flags = kAck;
  segment.window = 1000;
  if (connection.has_timestamps() && side.last_timestamps)
    segment.timestamps = Timestamps{side.newest_timestamp, side.last_timestamps->value};
  return segment;
}

void Meddler::forge(const Segment& segment, const Pair& pair, bool ends, const char* what) {
  forged_++;
  const End& end = pair.ends[host_.index()];
  if (end.connection != nullptr)
    expected_ = {&pair,
                 ends,
                 segment.sack_count != 0,
                 host_.counters()[Counter::drop_tcp_sack],
                 host_.stack().info(*end.connection),
                 std::string(what) + " (" + describe(segment) + ")"};
  host_.arrive({.frame = encode(segment), .corrupted = false, .forged = true}, true);
}

std::string Meddler::judge() {
  if (!expected_) return {};
  const Expected expected = std::move(*expected_);
  expected_.reset();
  const End& end = expected.pair->ends[host_.index()];
  if (expected.ends) {
    if (end.is_over()) return {};
    return "a connection goes on after " + expected.what;
  }
  if (end.connection == nullptr) return "a connection was ended by " + expected.what;
  const net::ConnectionInfo& before = expected.before;
  const net::ConnectionInfo after = host_.stack().info(*end.connection);
  const char* changed = nullptr;
  if (std::strcmp(before.state, after.state) != 0) changed = "the state";
  if (before.snd_una != after.snd_una) changed = "SND.UNA";
  if (before.snd_max != after.snd_max) changed = "SND.MAX";
  if (before.rcv_nxt != after.rcv_nxt) changed = "RCV.NXT";
  if (before.send_window_bytes != after.send_window_bytes) changed = "SND.WND";
  if (expected.impossible_sack) {
    // Time may show a loss meanwhile; the block itself must have been refused.
    if (host_.counters()[Counter::drop_tcp_sack] == expected.refused_sacks)
      changed = "the scoreboard";
  } else {
    if (before.in_flight_bytes != after.in_flight_bytes) changed = "what is in flight";
    if (before.congestion_window_bytes != after.congestion_window_bytes)
      changed = "the congestion window";
  }
  return changed == nullptr ? std::string() : expected.what + " changed " + changed;
}

void Meddler::between_cycles() {
  if (!meddling_.any()) return;
  for (Pair& pair : pairs_) {
    if (!pair.tried) continue;
    // One at a time: the numbers are right for the first frame of the next cycle only.
    const uint64_t before = forged_;
    if (meddling_.reset_in_state != nullptr) inject_reset(pair);
    if (forged_ != before) return;
    if (pair.ends[host_.index()].connection == nullptr || !pair.ends[host_.index()].opened ||
        !random_.one_in(kInjectOneIn))
      continue;
    if (meddling_.old_duplicates) {
      inject_old_duplicate(pair);
    } else if (meddling_.blind_attacks) {
      inject_blind_attack(pair);
    } else if (meddling_.sack_lies) {
      inject_impossible_sack(pair);
    } else if (meddling_.optimistic_acks) {
      inject_optimistic_ack(pair);
    }
    if (forged_ != before) return;
  }
}

void Meddler::inject_old_duplicate(Pair& pair) {
  const auto& kept = kept_[static_cast<size_t>(pair.port - kFirstPort)];
  const WireConnection& connection = observer_.connection(pair);
  const WireSide& side = connection.sides[host_.index()];
  if (kept.empty() || !connection.has_timestamps() || !side.last_timestamps) return;
  const Kept& old = kept[random_.below(kept.size())];
  // What the host echoes is the newest timestamp that it went by.
  if (!seq_lt(old.timestamp, side.last_timestamps->echo)) return;
  const net::ConnectionInfo info = host_.stack().info(*pair.ends[host_.index()].connection);
  if (info.receive_window_bytes == 0) return;
  Segment segment;
  if (parse(old.frame, segment) != FrameKind::tcp) return;
  const size_t bytes = std::min(
      {segment.payload.size(), payload_.size(), static_cast<size_t>(info.receive_window_bytes)});
  segment.payload = {payload_.data(), bytes};
  segment.sequence = info.rcv_nxt;
  if (random_.one_in(2))
    segment.sequence += static_cast<uint32_t>(random_.below(info.receive_window_bytes - bytes + 1));
  segment.sack_count = 0;
  segment.acknowledgement = info.snd_una;
  if (random_.one_in(8)) segment.flags |= kFin;
  forge(segment, pair, false, "an old duplicate in the window");
}

void Meddler::inject_blind_attack(Pair& pair) {
  const net::ConnectionInfo info = host_.stack().info(*pair.ends[host_.index()].connection);
  if (info.receive_window_bytes < 2) return;
  Segment segment = from_peer(pair);
  segment.sequence =
      info.rcv_nxt + 1 + static_cast<uint32_t>(random_.below(info.receive_window_bytes - 1));
  segment.acknowledgement = info.snd_una;
  switch (random_.below(4)) {
    case 0:  // RFC 5961 section 3
      segment.flags = random_.one_in(2) ? kRst : kRst | kAck;
      break;
    case 1:  // section 4
      segment.flags = random_.one_in(2) ? kSyn : kSyn | kAck;
      segment.mss = 1460;
      break;
    case 2:  // section 5.2: an acknowledgement of what was never sent
      segment.sequence = info.rcv_nxt;
      segment.acknowledgement = info.snd_max + 1 + static_cast<uint32_t>(random_.below(100'000));
      break;
    default:  // or of what is long gone
      segment.sequence = info.rcv_nxt;
      segment.acknowledgement = info.snd_una - 0x4000'0000;
      break;
  }
  if (!segment.has(kRst) && !segment.has(kSyn))
    segment.payload = {payload_.data(),
                       std::min<size_t>(payload_.size(), info.receive_window_bytes)};
  forge(segment, pair, false, "a blind attack");
}

void Meddler::inject_optimistic_ack(Pair& pair) {
  const net::ConnectionInfo info = host_.stack().info(*pair.ends[host_.index()].connection);
  Segment segment = from_peer(pair);
  segment.sequence = info.rcv_nxt;
  segment.window = static_cast<uint16_t>(info.send_window_bytes >>
                                         observer_.connection(pair).scale(1 - host_.index()));
  const uint32_t sent = info.snd_max - info.snd_una;
  if (random_.one_in(3)) {
    segment.acknowledgement = info.snd_max + 1 + static_cast<uint32_t>(random_.below(10'000));
    return forge(segment, pair, false, "an acknowledgement of what was never sent");
  }
  segment.acknowledgement = info.snd_una + static_cast<uint32_t>(random_.below(sent + 1));
  forge(segment, pair, false, "");
  // It is believed, and cannot be told from a right one.
  expected_.reset();
}

/// RFC 2018 section 3 and RFC 6675 section 4: blocks of bytes that were never sent say nothing.
void Meddler::inject_impossible_sack(Pair& pair) {
  const WireConnection& connection = observer_.connection(pair);
  const net::ConnectionInfo info = host_.stack().info(*pair.ends[host_.index()].connection);
  const uint32_t sent = info.snd_max - info.snd_una;
  const uint8_t scale = connection.scale(1 - host_.index());
  if (!connection.has_sack() || sent < 2) return;
  // It must not change the window, which a SYN may have offered to the byte.
  if (info.send_window_bytes >> scale << scale != info.send_window_bytes) return;
  Segment segment = from_peer(pair);
  segment.sequence = info.rcv_nxt;
  segment.acknowledgement = info.snd_una;
  segment.window = static_cast<uint16_t>(info.send_window_bytes >> scale);
  segment.sack_count = 1;
  const auto beyond = static_cast<uint32_t>(1 + random_.below(3000));
  segment.sacks[0] = {info.snd_una + 1 + static_cast<uint32_t>(random_.below(sent - 1)),
                      info.snd_max + beyond};
  forge(segment, pair, false, "a SACK block of what was never sent");
}

void Meddler::inject_reset(Pair& pair) {
  const auto number = static_cast<size_t>(pair.port - kFirstPort);
  if (reset_done_[number]) return;
  End& end = pair.ends[host_.index()];
  const WireSide& side = observer_.connection(pair).sides[host_.index()];
  const WireSide& peer = observer_.connection(pair).sides[1 - host_.index()];
  Segment segment = from_peer(pair);
  segment.window = 0;
  segment.timestamps.reset();
  if (!side.syn_sent) return;
  if (end.connection != nullptr) {
    const net::ConnectionInfo info = host_.stack().info(*end.connection);
    if (std::strcmp(info.state, meddling_.reset_in_state) != 0 || random_.one_in(2)) return;
    segment.sequence = info.rcv_nxt;
    segment.acknowledgement = info.snd_max;
    // RFC 9293 section 3.10.7.3: while the SYN is out, its acknowledgement is what counts.
    segment.flags = end.opened && random_.one_in(2) ? kRst : kRst | kAck;
  } else {
    const bool half_open = side.peer_syn_seen && !end.opened && !end.is_over();
    if (!half_open || std::strcmp("SYN-RECEIVED", meddling_.reset_in_state) != 0) return;
    segment.sequence = peer.iss + 1;
    segment.acknowledgement = side.iss + 1;
    segment.flags = kRst;
  }
  reset_done_[number] = true;
  pair.reset_injected = true;
  forge(segment, pair, true, "a reset that is right");
}

}  // namespace weir::sim
