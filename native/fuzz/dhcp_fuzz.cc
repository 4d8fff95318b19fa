/// What servers say into the DHCP client, with time passing and stations that claim its address. It
/// uses an address while a lease allows it and no longer, and asks with restraint.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <map>

#include "fuzz/harness.h"
#include "net/stack.h"

namespace weir::fuzz {
namespace {

using net::Address;

constexpr int kMostSteps = 96;
constexpr uint8_t kUdp = 17;
constexpr uint16_t kClientPort = 68, kServerPort = 67;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kLongestEndS = 100'000;
// RFC 2131 section 2 and RFC 2132.
constexpr size_t kTransaction = 4, kClientAddress = 12, kHardware = 28, kCookie = 236,
                 kOptions = 240;
constexpr uint8_t kMessageType = 53, kDiscover = 1, kOffer = 2, kRequest = 3, kDecline = 4,
                  kAck = 5, kNak = 6;
constexpr uint32_t kMagic = 0x63825363;
/// The first of a second's messages may follow on one another: an offer is asked for at once. A
/// refusal is followed by a second's rest (client.cc).
constexpr uint64_t kMostMessages = 4, kMostMessagesPerS = 4;

sim::HostConfig config(bool probes) {
  sim::HostConfig config = default_config();
  config.stack.addresses = {};
  config.stack.routes = {};
  config.stack.accept_router_advertisements = false;
  config.stack.dhcp = true;
  config.stack.probe_v4_addresses = probes;
  return config;
}

class Leases final : public Harness {
 public:
  explicit Leases(bool probes) : Harness(config(probes)) {}

  /// What a server says that knows what it does, but for one or the other thing.
  void reply(FuzzedDataProvider& input) {
    const auto seldom = [&] { return input.ConsumeIntegralInRange<int>(0, 15) == 0; };
    uint8_t type = asked_ == kDiscover ? kOffer : kAck;
    if (seldom()) type = input.PickValueInArray<uint8_t>({kOffer, kAck, kNak, 0, 9});
    const uint32_t server = seldom() ? kOtherServer : kServer;
    const uint32_t lease_s = number(input, {3600, 60, 61, 600, 86'400, 59, 0, UINT32_MAX});
    Bytes options =
        option(kMessageType, {type}) + option(54, number32(server)) + option(51, number32(lease_s));
    if (!seldom())
      options = options + option(1, number32(UINT32_MAX << (input.ConsumeBool() ? 8 : 16)));
    if (input.ConsumeBool()) options = options + option(3, number32(address(input)));
    if (input.ConsumeBool()) options = options + option(6, number32(address(input)));
    if (input.ConsumeBool())
      options = options + option(58, number32(number(input, {1, 30, 1800, 0, UINT32_MAX})));
    if (input.ConsumeBool())
      options = options + option(59, number32(number(input, {2, 40, 3000, 0, UINT32_MAX})));
    if (input.ConsumeBool()) options = options + option(121, any(input, 40));
    if (seldom()) options = options + any(input, 40);
    latest_end_ns_ = lease_s == UINT32_MAX
                         ? UINT64_MAX
                         : std::max(latest_end_ns_, now_ns() + lease_s * kSecondNs);
    send(input, message(input, address(input), options + Bytes{255}));
  }

  /// Any options, and what else a message may hold.
  void reply_anything(FuzzedDataProvider& input) {
    Bytes bytes = message(input, address(input), any(input, 400));
    const Bytes name = any(input, 192);
    std::copy(name.begin(), name.end(), bytes.begin() + 44);
    // It may have leased an address for any time.
    latest_end_ns_ = UINT64_MAX;
    send(input, bytes);
  }

  /// Another station says that an address is its own.
  void claim(FuzzedDataProvider& input) {
    const Address other = Address::v4(address(input));
    const Address target = input.ConsumeBool() ? other : Address::v4(address(input));
    Way way = {kPeerLink, kOwnLink, other, target};
    if (input.ConsumeBool()) way.destination_link = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    input_frame(arp_frame(way, input.ConsumeBool() ? 1 : 2));
  }

  void use(FuzzedDataProvider& input) {
    const Bytes datagram(input.ConsumeIntegralInRange<size_t>(0, 100), 0x11);
    host().stack().udp_send(kUdpPort, {Address::v4(address(input)), 99}, datagram);
    advance(10'000);
  }

  void on_transmit(sim::Host& host, const sim::Frame& frame) override {
    Harness::on_transmit(host, frame);
    if (frame.size() >= 42 && frame[12] == 0x08 && frame[13] == 0x06) {
      // RFC 5227 section 2.1.1: who asks whether an address is free names none of its own.
      judge_source(address_at(frame, 28));
      return;
    }
    PacketView packet;
    if (!read_packet(frame, packet) || !packet.source.is_v4())
      give_up("a frame was sent that is neither ARP nor IPv4");
    judge_source(packet.source);
    if (packet.protocol != kUdp || packet.payload.size() < 8 ||
        port_at(packet.payload, 0) != kClientPort)
      return;
    if (!has_right_checksum(packet)) give_up("a wrong checksum was sent");
    judge_message(packet);
  }

  void on_address_change(const Address& address, net::AddressChange change) override {
    held_[address.v4_host_order()] =
        change == net::AddressChange::assigned || change == net::AddressChange::contested;
  }

  /// Servers are silent from now on.
  void judge_end() {
    // A client without a lease asks every minute: years of it show nothing new.
    if (latest_end_ns_ > now_ns() + kLongestEndS * kSecondNs) return advance(100 * kSecondNs);
    advance(std::max(latest_end_ns_, now_ns()) - now_ns() + kSecondNs);
    for (const auto& [address, is_held] : held_)
      if (is_held) give_up("an address is used although its lease has ended");
  }

 private:
  static constexpr uint32_t kServer = 0x0a0000fe, kOtherServer = 0x0a0000fd;

  static Bytes any(FuzzedDataProvider& input, size_t most_bytes) {
    return input.ConsumeBytes<uint8_t>(input.ConsumeIntegralInRange<size_t>(0, most_bytes));
  }
  static Bytes option(uint8_t code, const Bytes& value) {
    return Bytes{code, static_cast<uint8_t>(value.size())} + value;
  }
  static uint32_t number(FuzzedDataProvider& input, std::initializer_list<uint32_t> likely) {
    const auto which = input.ConsumeIntegralInRange<size_t>(0, likely.size());
    return which < likely.size() ? likely.begin()[which] : input.ConsumeIntegral<uint32_t>();
  }
  static uint32_t address(FuzzedDataProvider& input) {
    return number(input, {0x0a000063, 0x0a000063, 0x0a000064, kServer, 0x0a0100c8, 0, UINT32_MAX,
                          0x7f000001, 0x0a0000ff, 0xe0000001});
  }
  static Address address_at(std::span<const uint8_t> bytes, size_t at) {
    return Address::v4(number_at(bytes, at));
  }
  static uint32_t number_at(std::span<const uint8_t> bytes, size_t at) {
    return static_cast<uint32_t>(port_at(bytes, at)) << 16 | port_at(bytes, at + 2);
  }
  static uint16_t port_at(std::span<const uint8_t> bytes, size_t at) {
    return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
  }

  Bytes message(FuzzedDataProvider& input, uint32_t yours, const Bytes& options) {
    Bytes bytes(kOptions);
    bytes[0] = 2;
    bytes[1] = 1;
    bytes[2] = 6;
    const auto put = [&](size_t at, const Bytes& value) {
      std::copy(value.begin(), value.end(), bytes.begin() + static_cast<ptrdiff_t>(at));
    };
    put(kTransaction, number32(transaction_));
    put(16, number32(yours));
    std::copy(kOwnLink.begin(), kOwnLink.end(), bytes.begin() + kHardware);
    put(kCookie, number32(kMagic));
    if (input.ConsumeIntegralInRange<int>(0, 15) == 0)
      bytes[input.ConsumeIntegralInRange<size_t>(0, kOptions - 1)] =
          input.ConsumeIntegral<uint8_t>();
    return bytes + options;
  }

  void send(FuzzedDataProvider& input, const Bytes& message) {
    Way way = {kPeerLink, kOwnLink, Address::v4(kServer), Address::v4(UINT32_MAX)};
    if (input.ConsumeBool())
      way.destination = Address::v4(address(input));
    else
      way.destination_link = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    input_frame(ipv4_frame(way, kUdp, udp(kServerPort, kClientPort, message)));
  }
  void input_frame(Bytes frame) { input(std::move(frame), true); }

  void judge_source(const Address& source) {
    if (source.is_unspecified()) return;
    const auto held = held_.find(source.v4_host_order());
    if (held == held_.end() || !held->second)
      give_up("a packet was sent from an address that is not leased");
    if (now_ns() > latest_end_ns_ && latest_end_ns_ + kSecondNs < now_ns())
      give_up("a packet was sent from an address whose lease has ended");
  }

  void judge_message(const PacketView& packet) {
    const std::span<const uint8_t> bytes = packet.payload.subspan(8);
    if (bytes.size() < 300 || bytes[0] != 1 || number_at(bytes, kCookie) != kMagic ||
        !std::equal(kOwnLink.begin(), kOwnLink.end(), bytes.begin() + kHardware) ||
        bytes[kOptions] != kMessageType || port_at(packet.payload, 2) != kServerPort)
      give_up("a malformed DHCP message was sent");
    asked_ = bytes[kOptions + 2];
    if (asked_ != kDiscover && asked_ != kRequest && asked_ != kDecline)
      give_up("a DHCP message was sent that no client sends here");
    transaction_ = number_at(bytes, kTransaction);
    // RFC 2131 section 4.3.6: who renews says its address in ciaddr, who has none says none.
    if (address_at(bytes, kClientAddress) != packet.source)
      give_up("a DHCP message names another address than it comes from");
    if (++messages_ > kMostMessages + kMostMessagesPerS * (now_ns() / kSecondNs + 1))
      give_up("servers are asked without restraint");
  }

  std::map<uint32_t, bool> held_;
  /// The end of the longest lease that was offered; UINT64_MAX if that is not known.
  uint64_t latest_end_ns_ = 0;
  uint64_t messages_ = 0;
  uint32_t transaction_ = 0;
  uint8_t asked_ = 0;
};

}  // namespace
}  // namespace weir::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  FuzzedDataProvider input(data, bytes);
  weir::fuzz::Leases leases(input.ConsumeBool());
  for (int step = 0; step < weir::fuzz::kMostSteps && input.remaining_bytes() > 0; step++) {
    switch (input.ConsumeIntegralInRange<int>(0, 7)) {
      case 0:
      case 1:
        leases.advance(uint64_t{1'000'000} << input.ConsumeIntegralInRange<int>(0, 24));
        break;
      case 2:
        leases.claim(input);
        break;
      case 3:
        leases.use(input);
        break;
      case 4:
        leases.reply_anything(input);
        break;
      default:
        leases.reply(input);
        break;
    }
  }
  leases.judge_end();
  return 0;
}
