/// Answers of name servers, and of others who would like to be one, into the resolver, with time
/// passing. Whoever asks is told once and in time, nothing that a server did not say is believed,
/// and no port stays open.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "base/counters.h"
#include "fuzz/harness.h"
#include "net/resolve_listener.h"
#include "net/stack.h"

namespace weir::fuzz {
namespace {

using net::Address;

constexpr int kMostSteps = 96;
constexpr uint8_t kUdp = 17;
constexpr uint16_t kServerPort = 53;
constexpr uint64_t kSecondNs = 1'000'000'000;
/// Three tries of two seconds; late timers.
constexpr uint64_t kLongestLookupNs = 6 * kSecondNs + kSecondNs / 10;
constexpr uint64_t kLongestLifetimeNs = 3600 * kSecondNs;
constexpr uint32_t kMostQueriesPerLookup = 6;
constexpr size_t kHeaderBytes = 12;
constexpr uint16_t kTypeA = 1, kTypeAlias = 5, kTypeAaaa = 28;
constexpr Address kServers[] = {Address::v4(0x0a000035),
                                Address::v6(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x53)};
constexpr Address kOwnGlobal = Address::v6(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const std::array<const char*, 6> kNames = {"a.example",     "b.example", "www.a.example",
                                           "UPPER.Example", "x",         "not a name"};

sim::HostConfig config() {
  sim::HostConfig config = default_config();
  config.stack.addresses = {{kOwn, 24}, {kOwnGlobal, 64}};
  config.stack.name_servers.assign(std::begin(kServers), std::end(kServers));
  config.stack.max_listeners = 100;
  return config;
}

/// A question that the stack has sent.
struct Query {
  Address server;
  Address from;
  uint16_t port;
  /// Number, flags, counts, question and the rest, as they were sent.
  Bytes message;
  size_t question_bytes;
};

class Names final : public Harness, public net::ResolveListener {
 public:
  Names() : Harness(config()) {}

  void look_up(FuzzedDataProvider& input) {
    name_ = input.ConsumeIntegralInRange<int>(0, 7) == 0
                ? input.ConsumeRandomLengthString(300)
                : input.PickValueInArray<const char*>(kNames);
    asks_again_ = input.ConsumeIntegralInRange<int>(0, 7) == 0;
    ask();
    advance(10'000);
  }

  void cancel(FuzzedDataProvider& input) {
    const uint32_t tag = input.ConsumeIntegralInRange<uint32_t>(0, next_tag_);
    host().stack().cancel_resolve(*this, tag);
    pending_.erase(tag);
  }

  void answer(FuzzedDataProvider& input) {
    if (queries_.empty()) return;
    const size_t last = queries_.size() - 1;
    const Query& query =
        queries_[last - input.ConsumeIntegralInRange<size_t>(0, std::min<size_t>(last, 7))];
    const auto seldom = [&] { return input.ConsumeIntegralInRange<int>(0, 15) == 0; };
    Way way = {kPeerLink, kOwnLink, query.server, query.from};
    uint16_t from_port = kServerPort, to_port = query.port;
    Bytes message(query.message.begin(),
                  query.message.begin() + static_cast<ptrdiff_t>(query.question_bytes));
    // Whether what it says may be believed: a forger does not know all of this.
    bool is_forged = false;
    if (seldom()) {
      is_forged = true;
      switch (input.ConsumeIntegralInRange<int>(0, 5)) {
        case 0:
          way.source.bytes[15] ^= 1;
          break;
        case 1:
          from_port++;
          break;
        case 2:
          to_port ^= input.ConsumeIntegralInRange<uint16_t>(1, 3);
          break;
        case 3:
          message[input.ConsumeIntegralInRange<size_t>(0, 1)] ^= 0x55;
          break;
        case 4:
          // Another question, of the same length.
          message[kHeaderBytes + 1] ^= 1;
          break;
        default:
          // A question is no answer.
          break;
      }
      if (to_port != query.port || message[0] != query.message[0] || message[1] != query.message[1])
        for (const Query& other : queries_)
          if (other.port == to_port) is_forged = false;
    }
    const bool is_question = is_forged && way.source == query.server && from_port == kServerPort &&
                             to_port == query.port &&
                             std::equal(message.begin(), message.end(), query.message.begin());
    const uint8_t code = seldom() ? input.ConsumeIntegral<uint8_t>() : 0;
    message[2] = is_question ? 0x01 : 0x81;
    message[3] = static_cast<uint8_t>(0x80 | code);
    const uint16_t count = input.ConsumeIntegralInRange<uint16_t>(0, 6);
    const uint16_t says = seldom() ? input.ConsumeIntegral<uint16_t>() : count;
    const Bytes counts = number16(1) + number16(says) + number16(0) + number16(0);
    std::copy(counts.begin(), counts.end(), message.begin() + 4);
    for (uint16_t i = 0; i < count; i++) message = message + record(input, query, is_forged);
    if (!is_forged) answered_ns_ = now_ns();
    input_frame(ip_frame(way, kUdp, udp(from_port, to_port, message)));
  }

  /// Any bytes behind the right number.
  void answer_anything(FuzzedDataProvider& input) {
    if (queries_.empty()) return;
    const Query& query = queries_.back();
    Bytes message(query.message.begin(), query.message.begin() + 2);
    if (input.ConsumeBool())
      message.assign(query.message.begin(),
                     query.message.begin() + static_cast<ptrdiff_t>(query.question_bytes));
    message = message + input.ConsumeBytes<uint8_t>(input.ConsumeIntegralInRange<size_t>(0, 600));
    if (message.size() > 3) message[2] |= 0x80;
    // It may say whatever a forger says.
    says_anything_ = true;
    answered_ns_ = now_ns();
    input_frame(ip_frame({kPeerLink, kOwnLink, query.server, query.from}, kUdp,
                         udp(kServerPort, query.port, message)));
  }

  void on_transmit(sim::Host& host, const sim::Frame& frame) override {
    Harness::on_transmit(host, frame);
    PacketView packet;
    if (!read_packet(frame, packet) || packet.protocol != kUdp) return;
    if (!has_right_checksum(packet)) give_up("a wrong checksum was sent");
    const std::span<const uint8_t> bytes = packet.payload.subspan(8);
    if (number_at(packet.payload, 2) != kServerPort) return;
    if (std::find(std::begin(kServers), std::end(kServers), packet.destination) ==
        std::end(kServers))
      give_up("somebody was asked who is no name server");
    size_t at = kHeaderBytes;
    while (at < bytes.size() && bytes[at] != 0) at += 1u + bytes[at];
    // The name's end, type and class, and an OPT record (RFC 6891).
    if (at + 5 + 11 != bytes.size() || number_at(bytes, 4) != 1 || bytes[2] != 0x01)
      give_up("a malformed question was sent");
    if (++query_count_ > kMostQueriesPerLookup * lookups_)
      give_up("servers are asked without restraint");
    queries_.push_back({packet.destination, packet.source, number_at(packet.payload, 0),
                        Bytes(bytes.begin(), bytes.end()), at + 5});
  }

  void on_resolved(uint32_t tag, std::span<const Address> addresses) override {
    const auto pending = pending_.find(tag);
    if (pending == pending_.end()) give_up("somebody was told twice, or who did not want it");
    if (now_ns() - pending->second > kLongestLookupNs) give_up("somebody was told too late");
    pending_.erase(pending);
    if (!addresses.empty() &&
        (answered_ns_ == kNever || now_ns() - answered_ns_ > kLongestLifetimeNs))
      give_up("an answer was believed longer than its time");
    for (const Address& address : addresses)
      if (is_forged(address) && !says_anything_) give_up("a forged answer was believed");
    if (!asks_again_) return;
    asks_again_ = false;
    ask();
  }

  void judge_end() {
    asks_again_ = false;
    advance(kLongestLookupNs);
    if (!pending_.empty()) give_up("somebody is never told");
    uint64_t refused = 0;
    for (size_t i = queries_.size(); i-- > 0 && refused < 4;) {
      const uint64_t before = host().counters()[Counter::drop_udp_no_port];
      input_frame(ip_frame({kPeerLink, kOwnLink, queries_[i].server, queries_[i].from}, kUdp,
                           udp(kServerPort, queries_[i].port, Bytes(20))));
      if (host().counters()[Counter::drop_udp_no_port] != before + 1)
        give_up("a port stays open although nothing is asked for");
      refused++;
    }
  }

 private:
  static constexpr uint64_t kNever = UINT64_MAX;
  static constexpr uint8_t kForged = 66, kHonest = 1;

  static uint16_t number_at(std::span<const uint8_t> bytes, size_t at) {
    return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
  }
  static bool is_forged(const Address& address) {
    return address.is_v4() ? address.bytes[13] == kForged : address.bytes[5] == kForged;
  }
  void input_frame(Bytes frame) { input(std::move(frame), true); }

  void ask() {
    const uint32_t tag = ++next_tag_;
    pending_[tag] = now_ns();
    lookups_++;
    // A refusal is all that is told.
    if (!host().stack().resolve(name_, *this, tag)) pending_.erase(tag);
  }

  static Bytes labels(const std::string& name) {
    Bytes bytes;
    for (size_t from = 0; from <= name.size();) {
      const size_t to = std::min(name.find('.', from), name.size());
      bytes.push_back(static_cast<uint8_t>(to - from));
      bytes.insert(bytes.end(), name.begin() + static_cast<ptrdiff_t>(from),
                   name.begin() + static_cast<ptrdiff_t>(to));
      from = to + 1;
    }
    bytes.push_back(0);
    return bytes;
  }

  static Bytes name(FuzzedDataProvider& input) {
    switch (input.ConsumeIntegralInRange<int>(0, 5)) {
      case 0:
        return labels(input.PickValueInArray<const char*>(kNames));
      case 1:
        // A pointer (RFC 1035 section 4.1.4), or anything else.
        return number16(static_cast<uint16_t>(0xc000 | input.ConsumeIntegral<uint16_t>()));
      case 2:
        return input.ConsumeBytes<uint8_t>(input.ConsumeIntegralInRange<size_t>(0, 80));
      default:
        // The name that was asked for.
        return number16(0xc000 | kHeaderBytes);
    }
  }

  static Bytes record(FuzzedDataProvider& input, const Query& query, bool is_forged) {
    const uint16_t asked = number_at(query.message, query.question_bytes - 4);
    const Bytes owner = name(input);
    const uint16_t type =
        input.ConsumeIntegralInRange<int>(0, 3) == 0
            ? input.PickValueInArray<uint16_t>({kTypeA, kTypeAaaa, kTypeAlias, 41})
            : asked;
    Bytes data;
    if (type == kTypeA)
      data = {10, is_forged ? kForged : kHonest, 0, input.ConsumeIntegral<uint8_t>()};
    else if (type == kTypeAaaa)
      data = Bytes{0x20, 0x01, 0x0d, 0xb8, 0, is_forged ? kForged : kHonest} + Bytes(9) +
             Bytes{input.ConsumeIntegral<uint8_t>()};
    else
      data = name(input);
    const uint32_t lifetime_s = input.ConsumeBool()
                                    ? input.ConsumeIntegralInRange<uint32_t>(0, 5000)
                                    : input.ConsumeIntegral<uint32_t>();
    const auto says_bytes = input.ConsumeIntegralInRange<int>(0, 15) == 0
                                ? input.ConsumeIntegral<uint16_t>()
                                : static_cast<uint16_t>(data.size());
    return owner + number16(type) + number16(1) + number32(lifetime_s) + number16(says_bytes) +
           data;
  }

  std::map<uint32_t, uint64_t> pending_;
  std::vector<Query> queries_;
  std::string name_;
  uint32_t next_tag_ = 0;
  uint32_t lookups_ = 0;
  uint32_t query_count_ = 0;
  /// When a server last said something that may be believed.
  uint64_t answered_ns_ = kNever;
  bool asks_again_ = false;
  bool says_anything_ = false;
};

}  // namespace
}  // namespace weir::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  FuzzedDataProvider input(data, bytes);
  weir::fuzz::Names names;
  for (int step = 0; step < weir::fuzz::kMostSteps && input.remaining_bytes() > 0; step++) {
    switch (input.ConsumeIntegralInRange<int>(0, 9)) {
      case 0:
        names.advance(uint64_t{1'000'000} << input.ConsumeIntegralInRange<int>(0, 22));
        break;
      case 1:
      case 2:
        names.look_up(input);
        break;
      case 3:
        names.cancel(input);
        break;
      case 4:
        names.answer_anything(input);
        break;
      default:
        names.answer(input);
        break;
    }
  }
  names.judge_end();
  return 0;
}
