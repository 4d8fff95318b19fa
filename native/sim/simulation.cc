#include "sim/simulation.h"

#include <algorithm>
#include <cstring>

#include "net/tcp/connection.h"
#include "sim/clock_aim.h"

namespace weir::sim {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
/// After the links have healed everything must have come to its end within this: two time-outs of
/// the longest kind, and the slowest of the transfers.
constexpr uint64_t kPatienceNs = 600 * kSecond;
/// Frames sent while a batch is worked off, for each of its frames: an acknowledgement, what a
/// duplicate acknowledgement sets off, a challenge.
constexpr uint32_t kSentPerReceived = 3;
/// An end that timed out must have lost so many frames in this time before.
constexpr uint32_t kLossesForTimeout = 4;
constexpr uint64_t kTimeoutNs = 200 * kSecond;
/// The longest time-out that a stack may take for a lost segment or a closed window (RFC 6298
/// section 2.5 lets it have a maximum of a minute), twice.
constexpr uint64_t kLongestTimerUs = 120'000'000;
/// Beyond the congestion window: limited transmit (RFC 3042) and a tail loss probe (RFC 8985).
constexpr uint32_t kSegmentsBeyondWindow = 3;

std::string seconds(uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f s", static_cast<double>(ns) / 1e9);
  return text;
}

}  // namespace

void Outcome::add(const Outcome& other) {
  virtual_ns += other.virtual_ns;
  frames += other.frames;
  bytes += other.bytes;
  connections += other.connections;
  finished += other.finished;
  aborted += other.aborted;
  failed += other.failed;
  orphaned += other.orphaned;
  wrapped += other.wrapped;
  cut += other.cut;
  forged += other.forged;
  for (size_t i = 0; i < kCounterCount; i++) counters[i] += other.counters[i];
}

Simulation::Simulation(const Scenario& scenario, HostPools& pools_a, HostPools& pools_b,
                       std::array<PcapWriter*, 2> pcaps)
    : scenario_(scenario),
      pools_{&pools_a, &pools_b},
      pcaps_(pcaps),
      observer_(scenario_.pairs, *this),
      before_(scenario_.pairs.size()) {
  Random random(scenario_.seed ^ 0x5eed);
  for (uint32_t i = 0; i < 2; i++) {
    links_[i] = std::make_unique<Link>(scenario_.links[i], random.next());
    hosts_[i] = std::make_unique<Host>(i, scenario_.hosts[i], *pools_[i], *this, random.split());
    apps_[i] = std::make_unique<App>(*hosts_[i], scenario_.pairs, scenario_.apps[i], *this,
                                     random.split());
    meddlers_[i] = std::make_unique<Meddler>(*hosts_[i], scenario_.pairs, observer_,
                                             scenario_.meddling[i], random.split());
    hosts_[i]->set_handler(*apps_[i]);
    meddled_acks_ |= scenario_.meddling[i].optimistic_acks;
  }
  for (Pair& pair : scenario_.pairs)
    if (pair.listens)
      hosts_[1 - pair.opener]->stack().tcp_listen(pair.port, *apps_[1 - pair.opener], pair.port);
}

Simulation::~Simulation() = default;

void Simulation::fail(std::string what) {
  if (outcome_.failure.empty()) outcome_.failure = "at " + seconds(now_ns_) + ": " + what;
}

void Simulation::record(uint32_t host, std::span<const uint8_t> frame) {
  outcome_.frames++;
  uint64_t digest = outcome_.digest;
  const auto mix = [&](uint64_t word) {
    digest = (digest ^ word) * 0x9fb21c651e98df25;
    digest ^= digest >> 28;
  };
  mix(now_ns_);
  mix(host << 16 | frame.size());
  for (size_t at = 0; at < frame.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, frame.data() + at, std::min<size_t>(8, frame.size() - at));
    mix(word);
  }
  outcome_.digest = digest;
  if (pcaps_[host] != nullptr) pcaps_[host]->write(frame, now_ns_);
}

void Simulation::on_transmit(Host& host, const Frame& frame) {
  record(host.index(), frame);
  observer_.on_transmit(host, frame);
  Link& link = *links_[host.index()];
  const Fate fate = link.send(frame, now_ns_);
  if (fate != Fate::passed) note_loss(frame);
  if (fate == Fate::too_big && scenario_.router_answers) {
    if (auto reply = too_big_reply(frame, router_address(scenario_.v6),
                                   static_cast<uint16_t>(link.config().mtu_bytes)))
      links_[1 - host.index()]->send(*reply, now_ns_);
  }
}

void Simulation::note_loss(const Frame& frame) {
  observer_.on_loss(frame, now_ns_);
  Segment segment;
  if (parse(frame, segment) == FrameKind::other) lost_requests_++;
}

void Simulation::on_input(Host& host, const Link::Arrival& arrival) {
  record(host.index(), arrival.frame);
  observer_.on_input(host, arrival);
  if (arrival.corrupted) note_loss(arrival.frame);
}

void Simulation::on_discard(Host& host, const Link::Arrival& arrival) {
  note_loss(arrival.frame);
  if (arrival.forged) meddlers_[host.index()]->forget();
}

void Simulation::after_input(Host& host, uint32_t received, uint32_t sent) {
  const uint32_t index = host.index();
  if (sent > kSentPerReceived * received + waiting_[index])
    fail("host " + std::string(index == 0 ? "A" : "B") + " answers " + std::to_string(received) +
         " frames with " + std::to_string(sent));
  if (const std::string wrong = meddlers_[index]->judge(); !wrong.empty())
    fail("host " + std::string(index == 0 ? "A" : "B") + ": " + wrong);
}

void Simulation::before_flush(Host& host) {
  for (size_t i = 0; i < scenario_.pairs.size(); i++) {
    const End& end = scenario_.pairs[i].ends[host.index()];
    if (end.connection != nullptr) before_[i] = host.stack().info(*end.connection);
  }
}

void Simulation::after_flush(Host& host) {
  const uint32_t index = host.index();
  for (Pair& pair : scenario_.pairs) {
    const End& end = pair.ends[index];
    if (end.connection == nullptr) continue;
    const net::ConnectionInfo info = host.stack().info(*end.connection);
    check_connection(host, pair, info);
  }
  const net::StackUsage usage = host.stack().usage();
  const net::StackConfig& config = scenario_.hosts[index].stack;
  waiting_[index] = usage.waiting_packets;
  if (usage.connections > config.max_connections || usage.half_open > config.max_half_open ||
      usage.time_wait > config.max_time_wait ||
      usage.reorder_segments > config.max_reorder_segments_total)
    fail("a table holds more than its bound");
}

void Simulation::check_connection(Host& host, Pair& pair, const net::ConnectionInfo& info) {
  const uint32_t index = host.index();
  const auto number = static_cast<size_t>(pair.port - kFirstPort);
  const net::ConnectionInfo& before = before_[number];
  const auto complain = [&](const char* what) {
    const uint32_t iss = observer_.connection(pair).sides[index].iss;
    fail(std::string(what) + ": host " + (index == 0 ? "A" : "B") + ", connection " +
         std::to_string(number) + " in " + info.state + ", una " +
         std::to_string(info.snd_una - iss) + " nxt " + std::to_string(info.snd_nxt - iss) +
         " max " + std::to_string(info.snd_max - iss) + " in flight " +
         std::to_string(info.in_flight_bytes) + " cwnd " +
         std::to_string(info.congestion_window_bytes) + " wnd " +
         std::to_string(info.send_window_bytes) + " queued " +
         std::to_string(info.send_queue_bytes) + " mss " + std::to_string(info.mss_bytes));
  };
  // RFC 9293 section 3.4: in this order.
  if (!seq_le(info.snd_una, info.snd_nxt) || !seq_le(info.snd_nxt, info.snd_max))
    complain("SND.UNA, SND.NXT and SND.MAX are out of order");
  if (info.in_flight_bytes > info.snd_max - info.snd_una)
    complain("more is in flight than was sent and not acknowledged");
  if (!pair.ends[index].opened) return;
  const bool waits = info.snd_una != info.snd_max || info.send_queue_bytes != 0;
  // Keep-alive is no timer for this: it comes after hours.
  if (waits && info.timer_us > host.clock_us(now_ns_) + kLongestTimerUs)
    complain("something waits and no timer runs");
  if (info.congestion_window_bytes == 0) complain("the congestion window is closed");
  // Only what the flush sent is to be judged: a window that shrank does not call anything back.
  const uint32_t window = std::max(before.congestion_window_bytes, info.congestion_window_bytes);
  if (info.in_flight_bytes > before.in_flight_bytes &&
      info.in_flight_bytes > window + kSegmentsBeyondWindow * info.mss_bytes + 1)
    complain("more was sent than the congestion window allows");
  // RFC 3465: what is acknowledged opens the window, not how many acknowledgements say so. A
  // duplicate may inflate it by one segment (RFC 5681 section 3.2).
  const WireSide& side = observer_.connection(pair).sides[index];
  const uint64_t most = 10ull * info.mss_bytes + 14'600 + (side.acknowledged - side.iss) +
                        side.idle_segments * uint64_t{info.mss_bytes};
  if (info.congestion_window_bytes > most)
    complain("the congestion window has grown by more than was acknowledged");
  // A window is rounded up to what its scale can say, with every acknowledgement anew.
  const uint32_t room = scenario_.hosts[index].stack.receive_buffer_bytes;
  if (info.unconsumed_bytes > room + room / 8 + (64u << observer_.connection(pair).scale(index)))
    complain("more is held for the handler than the receive buffer has room for");
}

uint64_t Simulation::next_ns() const {
  uint64_t next_ns = UINT64_MAX;
  for (uint32_t i = 0; i < 2; i++)
    next_ns = std::min({next_ns, links_[i]->next_ns(), hosts_[i]->next_ns()});
  if (next_event_ < scenario_.events.size())
    next_ns = std::min(next_ns, scenario_.events[next_event_].at_ns);
  return next_ns;
}

void Simulation::deliver(uint32_t host) {
  Link& link = *links_[1 - host];
  Link::Arrival arrival;
  while (link.receive(now_ns_, arrival)) {
    passed_.clear();
    meddlers_[host]->pass(std::move(arrival), passed_);
    for (Link::Arrival& each : passed_) hosts_[host]->arrive(std::move(each));
  }
}

bool Simulation::step(uint64_t until_ns) {
  const uint64_t next = next_ns();
  if (next > until_ns) {
    now_ns_ = std::max(now_ns_, until_ns);
    return false;
  }
  now_ns_ = std::max(now_ns_, next);
  while (next_event_ < scenario_.events.size() && scenario_.events[next_event_].at_ns <= now_ns_)
    happen(scenario_.events[next_event_++]);
  for (uint32_t i = 0; i < 2; i++) deliver(i);
  for (uint32_t i = 0; i < 2; i++) {
    if (hosts_[i]->next_ns() > now_ns_) continue;
    hosts_[i]->cycle(now_ns_);
    meddlers_[i]->between_cycles();
  }
  return true;
}

void Simulation::happen(const Event& event) {
  const auto set_partitioned = [&](bool partitioned) {
    for (auto& link : links_) {
      LinkConfig config = link->config();
      config.partitioned = partitioned;
      link->configure(config);
    }
  };
  switch (event.kind) {
    case Event::Kind::partition:
      return set_partitioned(true);
    case Event::Kind::reunite:
      return set_partitioned(false);
    case Event::Kind::configure: {
      LinkConfig config = event.link;
      config.partitioned = links_[event.host]->config().partitioned;
      return links_[event.host]->configure(config);
    }
    case Event::Kind::starve:
      return hosts_[event.host]->starve(event.header_buffers, event.frame_buffers);
    case Event::Kind::feed:
      return hosts_[event.host]->feed();
    case Event::Kind::heal:
      return heal();
  }
}

void Simulation::heal() {
  for (uint32_t i = 0; i < 2; i++) {
    LinkConfig config = links_[i]->config();
    config.loss = config.burst_begins = config.corruption = config.duplication = 0;
    config.burst_ends = 1;
    config.reordering = 0;
    config.partitioned = false;
    links_[i]->configure(config);
    meddlers_[i]->stop();
    hosts_[i]->feed();
  }
}

bool Simulation::is_over() const {
  return std::all_of(scenario_.pairs.begin(), scenario_.pairs.end(),
                     [](const Pair& pair) { return pair.is_over(); });
}

/// Every end must have come to its end, or have a reason why not.
void Simulation::judge() {
  for (Pair& pair : scenario_.pairs)
    for (uint32_t host = 0; host < 2; host++) judge_end(pair, host);
}

void Simulation::judge_end(Pair& pair, uint32_t host) {
  const End& end = pair.ends[host];
  const End& other = pair.ends[1 - host];
  const auto complain = [&](const std::string& what) {
    fail("connection " + std::to_string(pair.port - kFirstPort) + ", end at host " +
         (host == 0 ? "A" : "B") + ": " + what + " (sent " + std::to_string(end.sent_bytes) +
         " of " + std::to_string(end.send_bytes) + ", received " +
         std::to_string(end.received_bytes) + " of " + std::to_string(other.send_bytes) + ")");
  };
  const auto went_wrong = [](const End& one) {
    return one.aborted || (one.closed && *one.closed != net::CloseReason::finished);
  };
  const uint64_t until_ns = end.closed ? end.closed_ns : now_ns_;
  const uint32_t losses = observer_.losses_since(pair, until_ns - std::min(until_ns, kTimeoutNs));
  const Host& peer = *hosts_[1 - host];
  // A peer that is full says nothing.
  const bool overfull = peer.counters()[Counter::drop_tcp_backlog] != 0 ||
                        peer.counters()[Counter::drop_tcp_limit] != 0;
  const uint64_t time_wait_ns = uint64_t{scenario_.hosts[1 - host].stack.time_wait_ms} * 1'000'000;
  outcome_.bytes += end.received_bytes;

  if (end.aborted) {
    outcome_.aborted++;
    return;
  }
  if (!end.closed) {
    // Of an answer that carried a cookie nothing was kept: when the segment that brings it back is
    // lost, only what follows it could tell (RFC 4987 section 3.6).
    const bool forgotten = other.connection == nullptr && !other.closed &&
                           peer.counters()[Counter::tcp_cookies_tx] != 0;
    const bool waits_for_nobody =
        went_wrong(other) || !pair.listens || pair.reset_injected || forgotten;
    if (end.connection == nullptr) {
      // It never came to be here; then the other end has given up on it.
      const bool forgot = hosts_[host]->counters()[Counter::tcp_cookies_tx] != 0;
      if (!pair.tried || (!waits_for_nobody && !forgot)) complain("it never began");
      return;
    }
    const net::ConnectionInfo info = hosts_[host]->stack().info(*end.connection);
    if (!waits_for_nobody && !meddled_acks_)
      return complain(std::string("it neither ended nor failed, and is in ") + info.state);
    // Nothing that it could send would tell it that its peer has gone. A peer that acknowledges
    // what it does not have may keep it waiting for ever.
    if (!meddled_acks_ && (info.snd_una != info.snd_max || info.send_queue_bytes != 0))
      return complain(std::string("its peer has gone, and it still sends, in ") + info.state);
    outcome_.orphaned++;
    return;
  }
  switch (*end.closed) {
    case net::CloseReason::finished:
      outcome_.finished++;
      if (meddled_acks_) return;
      if (!end.ended || end.received_bytes != other.sent_bytes ||
          other.sent_bytes != other.send_bytes)
        complain("it finished before the peer's stream did");
      if (end.sent_bytes != end.send_bytes ||
          (!went_wrong(other) && other.received_bytes != end.send_bytes))
        complain("it finished before its own stream had arrived");
      return;
    case net::CloseReason::reset:
    case net::CloseReason::refused:
      outcome_.failed++;
      // What is left over from a connection when TIME-WAIT is past is answered with a reset.
      if (other.closed && end.closed_ns >= other.closed_ns + time_wait_ns &&
          end.received_bytes == other.send_bytes)
        return;
      // A cookie that is too old, or finds no room, leaves nothing but a reset (RFC 4987
      // section 3.6).
      if (other.connection == nullptr && !other.closed &&
          (overfull || peer.counters()[Counter::drop_tcp_cookie] != 0))
        return;
      // Half an opening that nobody completed in time is forgotten.
      if (!other.opened && losses >= kLossesForTimeout) return;
      if (!went_wrong(other) && pair.listens && !pair.reset_injected && !meddled_acks_)
        complain("it was reset and nobody did that");
      return;
    case net::CloseReason::timed_out:
      outcome_.failed++;
      if (losses < kLossesForTimeout && !went_wrong(other) && !overfull && !pair.reset_injected &&
          !meddled_acks_)
        complain("it timed out and nothing was lost");
      return;
    case net::CloseReason::unreachable:
      outcome_.failed++;
      // A request or its answer was lost, or had no buffer.
      if (lost_requests_ == 0 && peer.counters()[Counter::drop_no_mbuf] == 0 &&
          hosts_[host]->counters()[Counter::drop_no_mbuf] == 0)
        complain("its peer was called unreachable and was not");
      return;
    default:
      return complain("it ended for a reason that makes no sense here");
  }
}

void Simulation::wind_up() {
  for (uint32_t i = 0; i < 2; i++) {
    for (Pair& pair : scenario_.pairs) {
      End& end = pair.ends[i];
      if (end.connection == nullptr) continue;
      end.aborted = true;
      hosts_[i]->stack().abort(*end.connection);
      end.connection = nullptr;
    }
    hosts_[i]->stack().flush();
  }
  // The longest that TIME-WAIT and the neighbors' entries take.
  const auto is_empty = [](const net::StackUsage& usage) {
    return usage.connections == 0 && usage.half_open == 0 && usage.time_wait == 0 &&
           usage.armed_timers == 0 && usage.send_blocks == 0 && usage.reorder_segments == 0 &&
           usage.waiting_packets == 0;
  };
  const uint64_t limit_ns = now_ns_ + kPatienceNs;
  const auto is_quiet = [&] {
    for (uint32_t i = 0; i < 2; i++) {
      hosts_[i]->release_sent();
      if (!is_empty(hosts_[i]->stack().usage()) || links_[i]->next_ns() != UINT64_MAX) return false;
    }
    return true;
  };
  while (outcome_.failure.empty() && !is_quiet() && step(limit_ns)) {
  }
  for (uint32_t i = 0; i < 2 && outcome_.failure.empty(); i++) {
    const std::string host = i == 0 ? "host A: " : "host B: ";
    const net::StackUsage usage = hosts_[i]->stack().usage();
    if (!is_empty(usage))
      fail(host + "left behind: " + std::to_string(usage.connections) + " connections, " +
           std::to_string(usage.half_open) + " half open, " + std::to_string(usage.time_wait) +
           " in TIME-WAIT, " + std::to_string(usage.armed_timers) + " timers, " +
           std::to_string(usage.send_blocks) + " send blocks, " +
           std::to_string(usage.reorder_segments) + " segments out of order, " +
           std::to_string(usage.waiting_packets) + " packets without a link address");
    if (apps_[i]->held_buffers() != 0)
      fail(host + std::to_string(apps_[i]->held_buffers()) +
           " of the handler's buffers were not given back");
    if (!pools_[i]->are_full()) fail(host + "packet buffers are missing from their pools");
  }
}

Outcome Simulation::run() {
  const uint64_t deadline_ns = scenario_.heal_ns + kPatienceNs;
  while (outcome_.failure.empty() && !is_over() && step(deadline_ns)) {
  }
  if (outcome_.failure.empty()) judge();
  // What is left of the bad times must not keep the rest from its end.
  while (next_event_ < scenario_.events.size()) happen(scenario_.events[next_event_++]);
  heal();
  wind_up();
  for (uint32_t i = 0; i < 2; i++) {
    for (size_t counter = 0; counter < kCounterCount; counter++)
      outcome_.counters[counter] += hosts_[i]->counters()[static_cast<Counter>(counter)];
    outcome_.forged += meddlers_[i]->forged();
    outcome_.cut += hosts_[i]->cut_packets();
  }
  for (const Pair& pair : scenario_.pairs) {
    outcome_.connections++;
    for (const WireSide& side : observer_.connection(pair).sides)
      if (side.syn_sent && side.sent_end < side.iss) outcome_.wrapped++;
  }
  for (auto& host : hosts_) host.reset();
  for (uint32_t i = 0; i < 2; i++)
    if (!pools_[i]->are_full()) fail("packet buffers are missing after the end of a stack");
  for (auto& app : apps_) app.reset();
  outcome_.virtual_ns = now_ns_;
  return outcome_;
}

Outcome simulate(uint64_t seed, HostPools& pools_a, HostPools& pools_b,
                 const std::string& pcap_path) {
  Scenario scenario = Scenario::draw(seed);
  aim_clocks(scenario, pools_a, pools_b);
  std::array<std::unique_ptr<PcapWriter>, 2> pcaps;
  std::string error;
  if (!pcap_path.empty()) {
    const size_t dot = pcap_path.rfind('.');
    const bool has_suffix =
        dot != std::string::npos && pcap_path.find('/', dot) == std::string::npos;
    const std::string path_b =
        has_suffix ? pcap_path.substr(0, dot) + "-b" + pcap_path.substr(dot) : pcap_path + "-b";
    pcaps[0] = PcapWriter::create(pcap_path, error);
    pcaps[1] = PcapWriter::create(path_b, error);
  }
  Simulation simulation(scenario, pools_a, pools_b, {pcaps[0].get(), pcaps[1].get()});
  Outcome outcome = simulation.run();
  if (!error.empty()) outcome.failure += (outcome.failure.empty() ? "" : "; ") + error;
  return outcome;
}

std::string describe(const Scenario& scenario) {
  std::string text;
  char line[400];
  for (uint32_t i = 0; i < 2; i++) {
    const HostConfig& host = scenario.hosts[i];
    const LinkConfig& link = scenario.links[i];
    std::snprintf(
        line, sizeof line,
        "host %c: mtu %u, receive buffer %u, send buffer %u, reorder %u, connections %u, half open "
        "%u, batch %u, stall %.1f ms, clock aim %u\n"
        "  sends over: %.3f Mbit/s, delay %.2f ms, jitter %.2f ms, queue %u, loss %.3f, burst "
        "%.3f/%.3f, duplication %.3f, corruption %.3f, reordering %.3f\n",
        'A' + static_cast<int>(i), host.stack.mtu_bytes, host.stack.receive_buffer_bytes,
        host.stack.send_buffer_bytes, host.stack.max_reorder_segments, host.stack.max_connections,
        host.stack.max_half_open, host.batch, static_cast<double>(host.stall_ns) / 1e6,
        static_cast<unsigned>(scenario.aims[i]),
        static_cast<double>(link.rate_bits_per_second) / 1e6,
        static_cast<double>(link.delay_ns) / 1e6, static_cast<double>(link.jitter_ns) / 1e6,
        link.queue_packets, link.loss, link.burst_begins, link.burst_ends, link.duplication,
        link.corruption, link.reordering);
    text += line;
    const Meddling& meddling = scenario.meddling[i];
    text += "  what reaches it:";
    if (meddling.old_duplicates) text += " old duplicates";
    if (meddling.blind_attacks) text += " blind attacks";
    if (meddling.sack_lies) text += " SACK lies";
    if (meddling.optimistic_acks) text += " optimistic ACKs";
    if (meddling.ack_division) text += " divided ACKs";
    if (meddling.reset_in_state != nullptr)
      text += std::string(" a reset in ") + meddling.reset_in_state;
    if (!meddling.any()) text += " what was sent";
    text += "\n";
  }
  for (const Pair& pair : scenario.pairs) {
    std::snprintf(line, sizeof line,
                  "connection %u, opened by %c at %.3f s%s: A sends %llu bytes%s, B %llu%s\n",
                  pair.port - kFirstPort, 'A' + static_cast<int>(pair.opener),
                  static_cast<double>(pair.opens_at_ns) / 1e9,
                  pair.listens ? "" : ", nobody listens",
                  static_cast<unsigned long long>(pair.ends[0].send_bytes),
                  pair.ends[0].closes_last ? " and closes last" : "",
                  static_cast<unsigned long long>(pair.ends[1].send_bytes),
                  pair.ends[1].closes_last ? " and closes last" : "");
    text += line;
  }
  for (const Event& event : scenario.events) {
    static constexpr const char* kNames[] = {"partition", "reunite", "configure",
                                             "starve",    "feed",    "heal"};
    std::snprintf(line, sizeof line, "%.3f s: %s %c\n", static_cast<double>(event.at_ns) / 1e9,
                  kNames[static_cast<uint32_t>(event.kind)], 'A' + static_cast<int>(event.host));
    text += line;
  }
  return text;
}

}  // namespace weir::sim
