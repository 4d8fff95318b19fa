/// Neighbor Discovery, router advertisements and multicast listener queries into a stack that finds
/// its IPv6 addresses out, with time passing. What it sends must be well-formed, from addresses
/// that nobody else has claimed, and end when nobody says anything any more.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>

#include "fuzz/harness.h"
#include "net/ip/routing.h"
#include "net/stack.h"

namespace weir::fuzz {
namespace {

using net::Address;

constexpr int kMostSteps = 96;
constexpr uint8_t kIcmpV6 = 58, kHopByHop = 0;
// RFC 4443, RFC 4861, RFC 3810.
constexpr uint8_t kEchoRequest = 128, kQuery = 130, kRouterSolicitation = 133,
                  kRouterAdvertisement = 134, kSolicitation = 135, kAdvertisement = 136,
                  kRedirect = 137, kReport = 143;
constexpr uint8_t kOnLinkHopLimit = 255;
constexpr Address kOwnGlobal = Address::v6(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
constexpr Address kReportGroup = Address::v6(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// A stack that nobody answers goes on asking for routers once an hour (RFC 7559 section 2); what
/// else it has begun ends within ten minutes. Addresses whose time is over change its groups.
constexpr uint64_t kSettleNs = 600'000'000'000, kSilenceNs = 3'600'000'000'000;
constexpr uint32_t kMostFramesInSilence = 2 + 2 * net::ip::Routing::kMaxAddresses;

sim::HostConfig config(uint8_t probes) {
  sim::HostConfig config = default_config();
  config.stack.addresses = {{kOwnV6, 64}, {kOwnGlobal, 64}};
  config.stack.routes = {};
  config.stack.duplicate_address_probes = probes;
  return config;
}

class Link final : public Harness {
 public:
  explicit Link(uint8_t probes) : Harness(config(probes)) { answers_for_neighbors = false; }

  void send(FuzzedDataProvider& input) {
    const uint8_t type = input.PickValueInArray<uint8_t>(
        {kSolicitation, kAdvertisement, kRouterAdvertisement, kQuery, kRedirect,
         kRouterSolicitation, kEchoRequest, kReport});
    Way way = {kPeerLink, kOwnLink, pick(input), pick(input)};
    if (way.source.is_v4()) return;
    if (way.destination.is_v6_multicast()) way.destination_link = group_link(way.destination);
    if (input.ConsumeIntegralInRange<int>(0, 15) == 0) way.source_link = kOwnLink;
    uint8_t hop_limit = type == kQuery ? 1 : kOnLinkHopLimit;
    if (input.ConsumeIntegralInRange<int>(0, 15) == 0) hop_limit = input.ConsumeIntegral<uint8_t>();
    const uint8_t code =
        input.ConsumeIntegralInRange<int>(0, 31) == 0 ? input.ConsumeIntegral<uint8_t>() : 0;
    Bytes message = icmp(type, code, body(input, type));
    uint8_t next_header = kIcmpV6;
    if (type == kQuery && input.ConsumeIntegralInRange<int>(0, 15) != 0) {
      message = Bytes{kIcmpV6, 0, 5, 2, 0, 0, 1, 0} + message;
      next_header = kHopByHop;
    }
    Bytes frame = ipv6_frame(way, next_header, message, hop_limit);
    repair_checksums(frame);
    // What is due is done before, so that all that follows is an answer.
    advance(10'000);
    const bool is_from_afar =
        type >= kRouterSolicitation && type <= kRedirect && hop_limit != kOnLinkHopLimit;
    const uint32_t before = frames_sent_ + changes_;
    input_frame(std::move(frame));
    if (is_from_afar && frames_sent_ + changes_ != before)
      give_up("a message that has passed a router was believed");
  }

  /// The app sends something, so that a neighbor or router is asked for.
  void use(FuzzedDataProvider& input) {
    const Address to = pick(input);
    if (input.ConsumeBool()) {
      const std::vector<uint8_t> datagram(input.ConsumeIntegralInRange<size_t>(0, 3000), 0x11);
      host().stack().udp_send(kUdpPort, {to, 99}, datagram);
    } else if (!connects_) {
      connects_ = host().stack().tcp_connect({to, 99}, *this, 0) != nullptr;
    }
    advance(10'000);
  }

  void on_transmit(sim::Host& host, const sim::Frame& frame) override {
    Harness::on_transmit(host, frame);
    frames_sent_++;
    PacketView packet;
    if (!read_packet(frame, packet)) give_up("a frame that is not IPv6 was sent");
    const bool is_to_group = packet.destination.is_v6_multicast();
    if (is_to_group
            ? !std::equal(frame.begin(), frame.begin() + 6, group_link(packet.destination).begin())
            : (frame[0] & 1) != 0)
      give_up("a packet was sent to a link address that its destination cannot have");
    if (!packet.source.is_unspecified() && !is_usable(packet.source))
      give_up("a packet was sent from an address that is not ours to use");
    if (packet.protocol == kIcmpV6) judge(packet);
  }

  void on_address_change(const Address& address, net::AddressChange change) override {
    changes_++;
    std::erase(usable_, address);
    if (change == net::AddressChange::assigned || change == net::AddressChange::contested)
      usable_.push_back(address);
    if (std::find(known_.begin(), known_.end(), address) == known_.end()) known_.push_back(address);
  }

  void judge_silence() {
    advance(kSettleNs);
    const uint32_t before = frames_sent_;
    advance(kSilenceNs);
    if (frames_sent_ - before > kMostFramesInSilence)
      give_up("the stack goes on sending although nobody says anything");
    if (host().stack().usage().waiting_packets != 0) give_up("a packet waits for ever");
  }

 private:
  static sim::LinkAddress group_link(const Address& group) {
    return {0x33, 0x33, group.bytes[12], group.bytes[13], group.bytes[14], group.bytes[15]};
  }
  bool is_usable(const Address& address) const {
    return std::find(usable_.begin(), usable_.end(), address) != usable_.end();
  }
  void input_frame(Bytes frame) { Harness::input(std::move(frame), false); }

  /// An address that plays a part, or any.
  Address pick(FuzzedDataProvider& input) {
    const auto number = input.ConsumeIntegralInRange<uint16_t>(1, 12);
    switch (input.ConsumeIntegralInRange<int>(0, 9)) {
      case 0:
        return Address::v6(0xfe80, 0, 0, 0, 0, 0, 0, number);
      case 1:
        return Address::v6(0x2001, 0xdb8, 1, 0, 0, 0, 0, number);
      case 2:
        return Address::v6(0x2001, 0xdb8, number, 0, 0, 0, 0, 9);
      case 3:
        return Address{};
      case 4:
        return net::ip::kAllNodes;
      case 5:
        return kOwnV6;
      case 6:
        return known_.empty() ? kOwnGlobal : known_[number % known_.size()];
      case 7:
        return net::ip::solicited_node_group(
            known_.empty() || number > 6 ? kOwnV6 : known_[number % known_.size()]);
      case 8:
        return kOwnGlobal;
      default: {
        Address any;
        const std::vector<uint8_t> bytes = input.ConsumeBytes<uint8_t>(16);
        std::copy(bytes.begin(), bytes.end(), any.bytes.begin());
        return any;
      }
    }
  }

  Bytes body(FuzzedDataProvider& input, uint8_t type) {
    switch (type) {
      case kSolicitation:
        return Bytes(4) + all(pick(input)) + options(input);
      case kAdvertisement:
        return Bytes{input.ConsumeIntegral<uint8_t>(), 0, 0, 0} + all(pick(input)) + options(input);
      case kRedirect:
        return Bytes(4) + all(pick(input)) + all(pick(input)) + options(input);
      case kRouterAdvertisement:
        return Bytes{input.ConsumeIntegral<uint8_t>(), input.ConsumeIntegral<uint8_t>()} +
               number16(input.ConsumeIntegral<uint16_t>()) + Bytes(8) + options(input);
      case kQuery:
        return number16(input.ConsumeIntegral<uint16_t>()) + Bytes(2) + all(pick(input)) +
               (input.ConsumeBool() ? Bytes(4) : any(input, 24));
      default:
        return Bytes(4) + any(input, 64);
    }
  }

  Bytes options(FuzzedDataProvider& input) {
    Bytes all_of_them;
    const int count = input.ConsumeIntegralInRange<int>(0, 5);
    for (int i = 0; i < count; i++) all_of_them = all_of_them + option(input);
    return all_of_them;
  }

  Bytes option(FuzzedDataProvider& input) {
    const auto lifetime_s = [&] {
      return number32(input.ConsumeBool() ? input.ConsumeIntegralInRange<uint32_t>(0, 10'000)
                                          : input.ConsumeIntegral<uint32_t>());
    };
    switch (input.ConsumeIntegralInRange<int>(0, 6)) {
      case 0:
      case 1: {
        const uint8_t type = input.ConsumeBool() ? 1 : 2;
        const uint8_t first = input.ConsumeIntegralInRange<int>(0, 15) == 0 ? 3 : 2;
        return {type, 1, first, 0, 0, 0, 0, input.ConsumeIntegral<uint8_t>()};
      }
      case 2:
      case 3: {
        const uint8_t bits = input.ConsumeIntegralInRange<int>(0, 7) == 0
                                 ? input.ConsumeIntegral<uint8_t>()
                                 : uint8_t{64};
        const Bytes head = {3, 4, bits, input.ConsumeIntegral<uint8_t>()};
        const Bytes valid = lifetime_s();
        return head + valid + (input.ConsumeBool() ? valid : lifetime_s()) + Bytes(4) +
               all(pick(input));
      }
      case 4:
        return Bytes{5, 1, 0, 0} + number32(input.ConsumeBool()
                                                ? input.ConsumeIntegralInRange<uint32_t>(0, 3000)
                                                : input.ConsumeIntegral<uint32_t>());
      case 5:
        return Bytes{25, 3, 0, 0} + lifetime_s() + all(pick(input));
      default:
        return any(input, 32);
    }
  }

  static Bytes all(const Address& address) { return {address.bytes.begin(), address.bytes.end()}; }
  static Bytes any(FuzzedDataProvider& input, size_t most_bytes) {
    return input.ConsumeBytes<uint8_t>(input.ConsumeIntegralInRange<size_t>(0, most_bytes));
  }

  void judge(const PacketView& packet) {
    if (!has_right_checksum(packet)) give_up("a wrong checksum was sent");
    if (packet.payload.size() < 8) give_up("a short ICMPv6 message was sent");
    const uint8_t type = packet.payload[0];
    // RFC 4443 section 2.4 (c).
    if (type < 128 && packet.payload.size() + 40 > net::kMinMtuV6Bytes)
      give_up("an ICMPv6 error is longer than the smallest MTU");
    if (type == kReport) {
      // RFC 3810 section 5.2.13 and 5.2.14.
      if (packet.hop_limit != 1 || !packet.has_hop_by_hop || packet.destination != kReportGroup ||
          (!packet.source.is_unspecified() && !packet.source.is_v6_link_local()))
        give_up("a report was sent in a way that no router takes");
      return;
    }
    if (type < kRouterSolicitation || type > kRedirect) return;
    if (packet.hop_limit != kOnLinkHopLimit || packet.payload[1] != 0)
      give_up("a message of Neighbor Discovery was sent that nobody may believe");
    if (type != kSolicitation && type != kAdvertisement) return;
    if (packet.payload.size() < 24) give_up("a short message of Neighbor Discovery was sent");
    const Address target = Address::v6(&packet.payload[8]);
    const size_t option_bytes = packet.payload.size() - 24;
    if (option_bytes != 0 && (option_bytes != 8 || packet.payload[25] != 1))
      give_up("a malformed option was sent");
    if (type == kSolicitation) {
      // RFC 4861 section 7.1.1: who has no address asks in the group, and cannot be answered.
      if (packet.source.is_unspecified() &&
          (option_bytes != 0 || packet.destination != net::ip::solicited_node_group(target)))
        give_up("a solicitation was sent that nobody may believe");
      return;
    }
    // RFC 4861 section 7.1.2.
    if ((packet.payload[4] & 0x40) != 0 && packet.destination.is_v6_multicast())
      give_up("an advertisement says that it was asked for, and goes to all");
    if (!is_usable(target)) give_up("an address was advertised that is not ours to use");
  }

  std::vector<Address> usable_;
  std::vector<Address> known_;
  uint32_t frames_sent_ = 0;
  uint32_t changes_ = 0;
  bool connects_ = false;
};

}  // namespace
}  // namespace weir::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  FuzzedDataProvider input(data, bytes);
  weir::fuzz::Link link(input.ConsumeIntegralInRange<uint8_t>(1, 3));
  for (int step = 0; step < weir::fuzz::kMostSteps && input.remaining_bytes() > 0; step++) {
    switch (input.ConsumeIntegralInRange<int>(0, 7)) {
      case 0:
        link.advance(uint64_t{1'000'000} << input.ConsumeIntegralInRange<int>(0, 22));
        break;
      case 1:
        link.use(input);
        break;
      default:
        link.send(input);
        break;
    }
  }
  link.judge_silence();
  return 0;
}
