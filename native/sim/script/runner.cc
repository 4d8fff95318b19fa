#include "sim/script/runner.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdlib>

#include "net/tcp/connection.h"
#include "sim/scenario.h"
#include "sim/script/tap_station.h"
#include "sim/script/virtual_station.h"
#include "sim/script/wire.h"

namespace weir::sim::script {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;
/// How long a line waits whose time is *.
constexpr uint64_t kPatienceNs = 1000 * kSecond;
/// In real time less is worth waiting for, and who is late is late by what the machine takes.
constexpr uint64_t kPatienceOnTapNs = 10 * kSecond;
constexpr uint64_t kToleranceOnTapNs = 100 * kMs;
constexpr net::Address kOwnV6 = net::Address::v6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
constexpr net::Address kPeerV6 = net::Address::v6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

struct Wrong {
  std::string what;
};

uint32_t number(const std::vector<std::string>& words, size_t at) {
  if (at >= words.size()) throw Wrong{"\"" + words[0] + "\" needs a number"};
  char* end = nullptr;
  const unsigned long long value = std::strtoull(words[at].c_str(), &end, 0);
  if (*end != '\0' || value > UINT32_MAX) throw Wrong{"\"" + words[at] + "\" is no number"};
  return static_cast<uint32_t>(value);
}

std::vector<uint8_t> encode(const std::vector<OptionPattern>& options, uint32_t ack_base,
                            uint32_t last_timestamp) {
  using Kind = OptionPattern::Kind;
  std::vector<uint8_t> bytes;
  const auto add = [&](std::initializer_list<uint32_t> values) {
    for (const uint32_t value : values) bytes.push_back(static_cast<uint8_t>(value));
  };
  const auto add32 = [&](uint32_t value) { add({value >> 24, value >> 16, value >> 8, value}); };
  for (const OptionPattern& option : options) {
    switch (option.kind) {
      case Kind::mss:
        add({2, 4, option.values[0].value_or(0) >> 8, option.values[0].value_or(0)});
        break;
      case Kind::window_scale:
        add({3, 3, option.values[0].value_or(0)});
        break;
      case Kind::sack_permitted:
        add({4, 2});
        break;
      case Kind::sack:
        add({5, static_cast<uint32_t>(2 + 4 * option.values.size())});
        for (const auto& value : option.values) add32(ack_base + value.value_or(0));
        break;
      case Kind::timestamps:
        add({8, 10});
        add32(option.values[0].value_or(0));
        add32(option.values[1].value_or(last_timestamp));
        break;
      case Kind::nop:
        add({1});
        break;
      case Kind::end:
        add({0});
        break;
      case Kind::raw:
        bytes.insert(bytes.end(), option.bytes.begin(), option.bytes.end());
        break;
    }
  }
  return bytes;
}

}  // namespace

Runner::Runner(HostPools& pools, Place place) : pools_(pools), place_(place) {
  if (place == Place::tap) tolerance_ns_ = kToleranceOnTapNs;
  net::StackConfig& stack = config_.stack;
  stack.link_address = link_address_of(0);
  stack.addresses = {{own_, 24}};
  stack.duplicate_address_probes = 0;
  stack.max_connections = 64;
  stack.max_listeners = 8;
  stack.max_half_open = 32;
  stack.max_time_wait = 32;
  stack.max_neighbors = 16;
  stack.receive_buffer_bytes = 65535;
  stack.send_buffer_bytes = 1024 * 1024;
  stack.send_copy_bytes = 4 * 1024 * 1024;
  config_.clock_offset_us = 4'000'000'000;
  config_.stack_seed = 1;
  config_.cycle_ns = 1000;
}

Runner::~Runner() = default;

void Runner::fail(std::string what) {
  if (result_.failure.empty())
    result_.failure = "line " + std::to_string(line_) + ": " + std::move(what);
}

ScriptResult Runner::run(const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    if (!result_.failure.empty()) break;
    line_ = step.line;
    try {
      if (step.kind == Step::Kind::config) {
        configure(step);
        continue;
      }
      if (station_ == nullptr) start();
      switch (step.kind) {
        case Step::Kind::inject:
          inject(step);
          break;
        case Step::Kind::expect:
          expect(step);
          break;
        case Step::Kind::icmp:
          inject_icmp(step);
          break;
        case Step::Kind::expect_icmp:
          expect_icmp(step);
          break;
        case Step::Kind::call:
          call(step);
          break;
        case Step::Kind::event:
          expect_event(step);
          break;
        case Step::Kind::check:
          check(step);
          break;
        case Step::Kind::config:
          break;
      }
    } catch (const Wrong& wrong) {
      fail(wrong.what);
    }
  }
  if (result_.failure.empty() && !sent_.empty())
    fail("the stack sends what nobody expects: " + describe_sent(sent_.front().frame));
  station_.reset();
  if (!pools_.are_full()) fail("packet buffers are missing after the end");
  return result_;
}

void Runner::configure(const Step& step) {
  const std::string& name = step.words[0];
  net::StackConfig& stack = config_.stack;
  const auto value = [&] { return number(step.words, 1); };
  if (name == "mtu")
    stack.mtu_bytes = static_cast<uint16_t>(value());
  else if (name == "receive_buffer")
    stack.receive_buffer_bytes = value();
  else if (name == "send_buffer")
    stack.send_buffer_bytes = value();
  else if (name == "half_open")
    stack.max_half_open = value();
  else if (name == "connections")
    stack.max_connections = value();
  else if (name == "time_wait_ms")
    stack.time_wait_ms = value();
  else if (name == "user_timeout_ms")
    stack.user_timeout_ms = value();
  else if (name == "family" && value() == 6) {
    own_ = kOwnV6;
    peer_ = kPeerV6;
    stack.addresses = {{own_, 64}};
  } else if (name == "tolerance_ms")
    tolerance_ns_ = std::max(tolerance_ns_, value() * kMs);
  else if (name == "peer_isn")
    peer_isn_ = value();
  else if (name == "consume")
    consumes_ = step.words.size() < 2 || step.words[1] != "manual";
  else
    throw Wrong{"there is no setting \"" + name + "\""};
}

void Runner::start() {
  if (place_ == Place::simulator) {
    station_ = std::make_unique<VirtualStation>(config_, pools_, *this);
  } else {
    std::string error;
    station_ = TapStation::open(config_, pools_, *this, error);
    if (station_ == nullptr) throw Wrong{error};
  }
  // The peer is known on the link, so that its address is no part of any script.
  input(neighbor_question(peer_, link_address_of(1), own_, link_address_of(0)));
}

uint64_t Runner::patience_ns() const {
  return place_ == Place::simulator ? kPatienceNs : kPatienceOnTapNs;
}

uint64_t Runner::due_ns(const Step& step) const {
  switch (step.when.kind) {
    case When::Kind::absolute:
      return std::max(step.when.ns, now_ns_);
    case When::Kind::relative:
      return std::max(last_ns_ + step.when.ns, now_ns_);
    case When::Kind::any:
      break;
  }
  return now_ns_;
}

void Runner::advance(uint64_t until_ns, bool until_sent) {
  while (result_.failure.empty() && !(until_sent && !sent_.empty())) {
    const bool goes_on = station_->pass(until_ns);
    now_ns_ = station_->now_ns();
    if (!goes_on) return;
  }
}

void Runner::input(Frame frame) {
  station_->arrive(std::move(frame));
  now_ns_ = station_->now_ns();
}

void Runner::note(const char* direction, const Segment& segment) {
  const bool from_stack = direction[0] == '>';
  const uint16_t port = from_stack ? segment.destination_port : segment.source_port;
  const uint32_t iss = iss_.contains(port) ? iss_[port] : 0;
  char time[32];
  std::snprintf(time, sizeof time, "%11.6f %s ", static_cast<double>(now_ns_) / 1e9, direction);
  result_.trace +=
      time + describe(segment, from_stack ? iss : peer_isn_, from_stack ? peer_isn_ : iss) + "\n";
}

void Runner::on_frame(const Frame& frame) {
  now_ns_ = station_->now_ns();
  if (auto answer = neighbor_answer(frame, peer_, link_address_of(1))) {
    station_->arrive_later(std::move(*answer));
    return;
  }
  Segment segment;
  const FrameKind kind = parse(frame, segment);
  if (kind == FrameKind::other) {
    IcmpError error;
    if (!read_icmp_error(frame, error)) return;
    result_.trace += describe_sent(frame) + "\n";
    sent_.push_back({now_ns_, frame});
    return;
  }
  if (kind == FrameKind::malformed || !has_right_checksums(frame))
    return fail("the stack sends a malformed segment, or one with a wrong checksum");
  if (segment.has(kSyn)) iss_[segment.destination_port] = segment.sequence;
  if (segment.has(kSyn) && !segment.has(kAck)) {
    own_port_ = segment.source_port;
    peer_port_ = segment.destination_port;
  }
  if (segment.timestamps) last_timestamp_ = segment.timestamps->value;
  note(">", segment);
  last_sent_ = frame;
  sent_.push_back({now_ns_, frame});
}

std::string Runner::describe_sent(const Frame& frame) {
  Segment segment;
  if (parse(frame, segment) == FrameKind::tcp)
    return describe(segment, iss_[segment.destination_port], peer_isn_);
  IcmpError error{};
  read_icmp_error(frame, error);
  return "an ICMP error of type " + std::to_string(error.type) + ", code " +
         std::to_string(error.code) + ", value " + std::to_string(error.value);
}

void Runner::expect_nothing(const Step&) {
  if (!sent_.empty())
    throw Wrong{"before this the stack sends what nobody expects: " +
                describe_sent(sent_.front().frame)};
}

void Runner::inject(const Step& step) {
  advance(due_ns(step));
  expect_nothing(step);
  last_ns_ = now_ns_;
  const SegmentPattern& pattern = step.segment;
  Segment segment;
  segment.source_link = link_address_of(1);
  segment.destination_link = link_address_of(0);
  segment.source = peer_;
  segment.destination = own_;
  if (pattern.protocol)
    return input(
        with_options(plain_packet(segment, *pattern.protocol, pattern.payload_bytes.value_or(0)),
                     pattern.hop_by_hop, pattern.destination));
  segment.source_port = pattern.peer_port.value_or(peer_port_);
  segment.destination_port = pattern.own_port.value_or(own_port_);
  const uint32_t iss = iss_.contains(segment.source_port) ? iss_[segment.source_port] : 0;
  segment.flags = pattern.flags;
  segment.reserved = pattern.reserved;
  segment.urgent = pattern.urgent;
  segment.sequence = peer_isn_ + pattern.sequence.value_or(0);
  segment.acknowledgement = pattern.acknowledgement ? iss + *pattern.acknowledgement : 0;
  segment.window = static_cast<uint16_t>(pattern.window.value_or(65535));
  if (pattern.options) segment.other_options = encode(*pattern.options, iss, last_timestamp_);
  if (pattern.payload_bytes.value_or(0) != 0) {
    // The peer's stream begins behind its SYN; on one, at its start.
    const uint32_t place =
        segment.has(kSyn) ? 0 : pattern.sequence.value_or(1) - std::min(1u, *pattern.sequence);
    segment.payload = peer_stream_.part(place, *pattern.payload_bytes);
  }
  Frame frame = sim::encode(segment);
  if (pattern.bad_checksum) frame[kEthernetBytes + (own_.is_v4() ? 20 : 40) + 16] ^= 0x55;
  Segment shown;
  if (parse(frame, shown) == FrameKind::tcp) note("<", shown);
  frame = with_options(std::move(frame), pattern.hop_by_hop, pattern.destination);
  if (pattern.fragment_bytes == 0) return input(std::move(frame));
  for (Frame& fragment : in_fragments(frame, pattern.fragment_bytes)) input(std::move(fragment));
}

void Runner::inject_icmp(const Step& step) {
  advance(due_ns(step));
  expect_nothing(step);
  last_ns_ = now_ns_;
  const std::string name = step.words.empty() ? "" : step.words[0];
  const bool has_mtu = name == "toobig" || name == "fragneed";
  const auto error = icmp_error(name, own_.is_v4(), has_mtu ? number(step.words, 1) : 0);
  if (!error) throw Wrong{"there is no ICMP error \"" + name + "\""};
  std::optional<uint32_t> sequence;
  for (size_t i = 1; i + 1 < step.words.size(); i++)
    if (step.words[i] == "seq") sequence = iss_[peer_port_] + number(step.words, i + 1);
  auto frame = icmp_about(last_sent_, router_address(!own_.is_v4()), *error, sequence);
  if (!frame) throw Wrong{"there is nothing that an ICMP error could quote"};
  input(std::move(*frame));
}

Runner::Sent Runner::take_sent(const Step& step, const char* what) {
  const bool any = step.when.kind == When::Kind::any;
  const uint64_t earliest =
      any ? 0 : (step.when.kind == When::Kind::absolute ? step.when.ns : last_ns_ + step.when.ns);
  advance(any ? now_ns_ + patience_ns() : std::max(due_ns(step), earliest) + tolerance_ns_, true);
  if (sent_.empty())
    throw Wrong{std::string("the stack sends nothing, where ") + what + " is expected"};
  Sent sent = std::move(sent_.front());
  sent_.pop_front();
  if (!any && (sent.at_ns + tolerance_ns_ < earliest || sent.at_ns > earliest + tolerance_ns_))
    throw Wrong{"it comes at " + std::to_string(static_cast<double>(sent.at_ns) / 1e9) +
                " s and is expected at " + std::to_string(static_cast<double>(earliest) / 1e9) +
                " s: " + describe_sent(sent.frame)};
  last_ns_ = any ? sent.at_ns : earliest;
  return sent;
}

void Runner::expect(const Step& step) {
  const Sent sent = take_sent(step, "a segment");
  Segment segment;
  if (parse(sent.frame, segment) != FrameKind::tcp)
    throw Wrong{"a segment is expected; the stack sends " + describe_sent(sent.frame)};
  const std::string what = difference(step.segment, segment);
  if (!what.empty()) throw Wrong{what + "; the stack sends " + describe_sent(sent.frame)};
}

void Runner::expect_icmp(const Step& step) {
  const Sent sent = take_sent(step, "an ICMP error");
  const std::string name = step.words.empty() ? "" : step.words[0];
  const uint32_t value = step.words.size() > 1 ? number(step.words, 1) : 0;
  const auto wanted = icmp_error(name, own_.is_v4(), value);
  if (!wanted) throw Wrong{"there is no ICMP error \"" + name + "\""};
  IcmpError error{};
  if (!read_icmp_error(sent.frame, error) || error.type != wanted->type ||
      error.code != wanted->code || error.value != wanted->value)
    throw Wrong{"another ICMP error is expected; the stack sends " + describe_sent(sent.frame)};
}

std::string Runner::difference(const SegmentPattern& pattern, const Segment& segment) {
  const uint8_t ignored = (pattern.flags & kPsh) != 0 ? 0 : kPsh;
  if ((segment.flags & ~ignored) != pattern.flags) return "other flags are expected";
  const uint32_t iss = iss_[segment.destination_port];
  if (pattern.sequence && segment.sequence - iss != *pattern.sequence &&
      // A reset for somebody unknown has the number that was asked about.
      !(segment.has(kRst) && segment.sequence == *pattern.sequence))
    return "another sequence number is expected";
  if (pattern.payload_bytes && segment.payload.size() != *pattern.payload_bytes)
    return "another length is expected";
  if (pattern.acknowledgement && segment.acknowledgement - peer_isn_ != *pattern.acknowledgement)
    return "another acknowledgement is expected";
  if (pattern.window && segment.window != *pattern.window) return "another window is expected";
  if (pattern.peer_port && segment.destination_port != *pattern.peer_port)
    return "another port is expected";
  if (!segment.payload.empty() && !own_stream_.matches(segment.sequence - iss - 1, segment.payload))
    return "other bytes are expected";
  return pattern.options ? option_difference(*pattern.options, segment) : std::string();
}

std::string Runner::option_difference(const std::vector<OptionPattern>& patterns,
                                      const Segment& segment) {
  using Kind = OptionPattern::Kind;
  const auto find = [&](Kind kind) {
    return std::find_if(patterns.begin(), patterns.end(),
                        [&](const OptionPattern& option) { return option.kind == kind; });
  };
  const auto matches = [](const std::optional<uint32_t>& wanted, uint32_t value) {
    return !wanted || *wanted == value;
  };
  const auto none = patterns.end();
  const auto mss = find(Kind::mss), scale = find(Kind::window_scale),
             permitted = find(Kind::sack_permitted), sack = find(Kind::sack),
             stamps = find(Kind::timestamps);
  if ((mss != none) != segment.mss.has_value() ||
      (mss != none && !matches(mss->values[0], *segment.mss)))
    return "another MSS is expected";
  if ((scale != none) != segment.window_scale.has_value() ||
      (scale != none && !matches(scale->values[0], *segment.window_scale)))
    return "another window scale is expected";
  if ((permitted != none) != segment.sack_permitted) return "sackOK is not as expected";
  if ((stamps != none) != segment.timestamps.has_value() ||
      (stamps != none && (!matches(stamps->values[0], segment.timestamps->value) ||
                          !matches(stamps->values[1], segment.timestamps->echo))))
    return "other timestamps are expected";
  const size_t blocks = sack == none ? 0 : sack->values.size() / 2;
  if (blocks != segment.sack_count) return "another number of SACK blocks is expected";
  for (size_t i = 0; i < blocks; i++)
    if (!matches(sack->values[2 * i], segment.sacks[i].left - peer_isn_) ||
        !matches(sack->values[2 * i + 1], segment.sacks[i].right - peer_isn_))
      return "other SACK blocks are expected";
  return {};
}

net::Connection* Runner::connection(const Step& step) {
  if (connection_ == nullptr) throw Wrong{"there is no connection to " + step.words[0]};
  return connection_;
}

void Runner::call(const Step& step) {
  advance(due_ns(step));
  expect_nothing(step);
  last_ns_ = now_ns_;
  const std::string& name = step.words[0];
  net::Stack& stack = station_->stack();
  station_->before_call();
  const std::string argument = step.words.size() > 1 ? step.words[1] : "";
  if (name == "wait") {
    // Time has passed, and nothing was sent.
  } else if (name == "listen") {
    own_port_ = static_cast<uint16_t>(number(step.words, 1));
    if (!stack.tcp_listen(own_port_, *this, 1)) throw Wrong{"listen is refused"};
  } else if (name == "unlisten") {
    stack.tcp_unlisten(own_port_);
  } else if (name == "connect") {
    peer_port_ = static_cast<uint16_t>(number(step.words, 1));
    connection_ = stack.tcp_connect({peer_, peer_port_}, *this, 0);
    if (connection_ == nullptr) throw Wrong{"connect is refused"};
  } else if (name == "send") {
    const uint32_t bytes = number(step.words, 1);
    for (uint32_t at = 0; at < bytes;) {
      const uint32_t here = std::min(bytes - at, 2000u);
      const net::SendResult result =
          stack.send_copy(*connection(step), own_stream_.part(sent_bytes_, here));
      if (result != net::SendResult::ok) throw Wrong{"send is refused"};
      sent_bytes_ += here;
      at += here;
    }
  } else if (name == "consume") {
    stack.consume(*connection(step), number(step.words, 1));
  } else if (name == "close") {
    stack.close(*connection(step));
  } else if (name == "abort") {
    stack.abort(*connection(step));
    connection_ = nullptr;
  } else if (name == "knocks") {
    knocks_ = argument != "refused";
  } else if (name == "connections") {
    accepts_ = argument != "refused";
  } else if (name == "data") {
    refuses_ = argument == "refused";
  } else if (name == "port") {
    peer_port_ = static_cast<uint16_t>(number(step.words, 1));
  } else {
    throw Wrong{"the handler has no \"" + name + "\""};
  }
  station_->after_call();
}

void Runner::expect_event(const Step& step) {
  std::string wanted;
  for (const std::string& word : step.words) wanted += (wanted.empty() ? "" : " ") + word;
  const bool any = step.when.kind == When::Kind::any;
  const uint64_t until_ns = any ? now_ns_ + patience_ns() : due_ns(step) + tolerance_ns_;
  const auto found = [&] {
    // What else the handler was told before that is of no interest.
    while (!events_.empty()) {
      const std::string event = std::move(events_.front());
      events_.pop_front();
      if (event == wanted) return true;
      if (event.substr(0, 6) == "closed" || wanted.substr(0, 4) == event.substr(0, 4))
        throw Wrong{"the handler is told \"" + event + "\""};
    }
    return false;
  };
  for (bool goes_on = true; !found();) {
    if (!goes_on || !result_.failure.empty())
      throw Wrong{"the handler is not told \"" + wanted + "\""};
    goes_on = station_->pass(until_ns);
    now_ns_ = station_->now_ns();
  }
  if (any) last_ns_ = now_ns_;
}

void Runner::check(const Step& step) {
  advance(due_ns(step));
  last_ns_ = now_ns_;
  const std::string& name = step.words[0];
  const net::StackUsage usage = station_->stack().usage();
  std::string value;
  size_t at = 1;
  if (name == "counter") {
    at = 2;
    for (size_t i = 0; i < kCounterCount; i++)
      if (step.words.size() > 1 && step.words[1] == kCounterDescriptions[i].name)
        value = std::to_string(station_->counters()[static_cast<Counter>(i)]);
    if (value.empty()) throw Wrong{"there is no such counter"};
  } else if (name == "connections") {
    value = std::to_string(usage.connections);
  } else if (name == "half_open") {
    value = std::to_string(usage.half_open);
  } else if (name == "time_wait") {
    value = std::to_string(usage.time_wait);
  } else if (name == "reorder_segments") {
    value = std::to_string(usage.reorder_segments);
  } else if (name == "armed_timers") {
    value = std::to_string(usage.armed_timers);
  } else if (name == "received") {
    value = std::to_string(received_bytes_);
  } else {
    const net::ConnectionInfo info = station_->stack().info(*connection(step));
    if (name == "state")
      value = info.state;
    else if (name == "mss")
      value = std::to_string(info.mss_bytes);
    else if (name == "cwnd")
      value = std::to_string(info.congestion_window_bytes);
    else if (name == "in_flight")
      value = std::to_string(info.in_flight_bytes);
    else if (name == "send_window")
      value = std::to_string(info.send_window_bytes);
    else if (name == "unconsumed")
      value = std::to_string(info.unconsumed_bytes);
    else
      throw Wrong{"nobody knows what \"" + name + "\" is"};
  }
  if (at >= step.words.size()) throw Wrong{"a value to compare with is missing"};
  if (value != step.words[at]) throw Wrong{name + " is " + value};
}

bool Runner::on_knock(uint32_t, const net::Endpoint&) {
  events_.push_back("knock");
  return knocks_;
}

bool Runner::on_opened(net::Connection& connection, uint32_t, bool) {
  events_.push_back("opened");
  if (!accepts_) return false;
  connection_ = &connection;
  connection.wants_acknowledged = true;
  return true;
}

bool Runner::on_data(net::Connection& connection, const net::Payload& payload) {
  if (refuses_) return false;
  std::vector<uint8_t> copy(payload.length_bytes);
  const auto* bytes = static_cast<const uint8_t*>(
      rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, copy.data()));
  if (bytes == nullptr || !peer_stream_.matches(received_bytes_, {bytes, payload.length_bytes}))
    fail("the handler gets other bytes than were sent");
  received_bytes_ += payload.length_bytes;
  events_.push_back("data " + std::to_string(payload.length_bytes));
  if (consumes_) station_->stack().consume(connection, payload.length_bytes);
  return true;
}

void Runner::on_end(net::Connection&) { events_.push_back("end"); }

void Runner::on_acknowledged(net::Connection&, uint32_t bytes) {
  events_.push_back("acknowledged " + std::to_string(bytes));
}

void Runner::on_closed(net::Connection&, net::CloseReason reason) {
  static constexpr const char* kReasons[] = {"finished",   "reset",       "aborted",  "timed_out",
                                             "refused",    "unreachable", "limit",    "forbidden",
                                             "send_limit", "shutdown",    "no_memory"};
  events_.push_back(std::string("closed ") + kReasons[static_cast<uint32_t>(reason)]);
  connection_ = nullptr;
}

}  // namespace weir::sim::script
