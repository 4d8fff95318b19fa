#include "net/dhcp/client.h"

#include <rte_mbuf.h>

#include <algorithm>

namespace weir::net::dhcp {

namespace {

// RFC 2131 sections 4.1, 4.4.1 and 4.4.5, and section 3.1 step 5.
constexpr uint64_t kSecondUs = 1'000'000;
constexpr uint64_t kFirstIntervalUs = 4 * kSecondUs;
constexpr uint64_t kLastIntervalUs = 64 * kSecondUs;
constexpr uint64_t kLeastRenewIntervalUs = 60 * kSecondUs;
constexpr uint64_t kDeclineWaitUs = 10 * kSecondUs;
constexpr uint8_t kMaxRequests = 4;
constexpr uint32_t kForever = UINT32_MAX;
/// A server that leases for less makes work for nobody's good.
constexpr uint32_t kLeastLeaseS = 60;
/// Whatever times a server gives, a lease is not renewed before its address has been asked for on
/// the link, which takes up to seven seconds (RFC 5227 section 2.1.1): until then it is not ours to
/// send from.
constexpr uint64_t kLeastHoldUs = 10 * kSecondUs;
static_assert(kLeastHoldUs <= kLeastLeaseS * kSecondUs / 2);

constexpr Address kNobody = Address::v4(0);
constexpr Address kEverybody = Address::v4(0xffffffff);

}  // namespace

Client::Client(const Clock& clock, const Environment& environment, ip::Routing& routing,
               link::Arp& arp, ip::Sender& sender, udp::Udp& udp, link::AddressListener& listener,
               const link::LinkAddress& link_address, bool probes)
    : clock_(clock),
      environment_(environment),
      routing_(routing),
      arp_(arp),
      sender_(sender),
      udp_(udp),
      listener_(listener),
      link_address_(link_address),
      probes_(probes) {}

bool Client::start() {
  if (!udp_.bind(kClientPort, *this, 0)) return false;
  state_ = State::init;
  // RFC 2131 section 4.4.1: stations that start together must not ask together. The clock is not
  // set yet, so the first run of the timers draws the delay.
  next_us_ = 0;
  return true;
}

void Client::begin(uint64_t delay_us) {
  state_ = State::init;
  began_us_ = 0;
  next_us_ = clock_.now_us + delay_us;
}

uint16_t Client::seconds() const {
  return static_cast<uint16_t>(
      std::min<uint64_t>((clock_.now_us - began_us_) / kSecondUs, UINT16_MAX));
}

/// Twice as long as before, give or take a second.
uint64_t Client::back_off_us() {
  const uint64_t interval_us = interval_us_;
  interval_us_ = std::min(interval_us_ * 2, kLastIntervalUs);
  return interval_us - kSecondUs + environment_.random.next() % (2 * kSecondUs);
}

void Client::run_timers() {
  if (state_ == State::off || clock_.now_us < next_us_) return;
  switch (state_) {
    case State::off:
      return;
    case State::init:
      if (began_us_ == 0) {
        began_us_ = std::max<uint64_t>(clock_.now_us, 1);
        next_us_ = clock_.now_us + 1 + environment_.random.next() % kSecondUs;
        return;
      }
      interval_us_ = kFirstIntervalUs;
      transaction_ = static_cast<uint32_t>(environment_.random.next());
      state_ = State::selecting;
      return discover();
    case State::selecting:
      return discover();
    case State::requesting:
      if (requests_ >= kMaxRequests) return begin(0);
      return request();
    case State::bound:
      state_ = State::renewing;
      transaction_ = static_cast<uint32_t>(environment_.random.next());
      began_us_ = clock_.now_us;
      return renew();
    case State::renewing:
    case State::rebinding:
      return renew();
  }
}

void Client::discover() {
  send({.type = MessageType::discover,
        .transaction = transaction_,
        .seconds = seconds(),
        .broadcast = true},
       false);
  next_us_ = clock_.now_us + back_off_us();
}

void Client::request() {
  requests_++;
  send({.type = MessageType::request,
        .transaction = transaction_,
        .seconds = seconds(),
        .requested = lease_.address,
        .server = lease_.server,
        .broadcast = true},
       false);
  next_us_ = clock_.now_us + back_off_us();
}

/// RFC 2131 section 4.4.5: the server that gave the lease is asked, after T2 any server; each time
/// half of what is left is waited, but not less than a minute.
void Client::renew() {
  if (clock_.now_us >= expires_us_) {
    lose_lease();
    return begin(0);
  }
  if (clock_.now_us >= rebind_at_us_) state_ = State::rebinding;
  const bool to_server = state_ == State::renewing;
  send({.type = MessageType::request,
        .transaction = transaction_,
        .seconds = seconds(),
        .client = lease_.address},
       to_server);
  const uint64_t until_us = to_server ? rebind_at_us_ : expires_us_;
  const uint64_t wait_us = std::max((until_us - clock_.now_us) / 2, kLeastRenewIntervalUs);
  next_us_ = std::min(clock_.now_us + wait_us, until_us);
}

void Client::send(const Request& request, bool to_server) {
  std::array<uint8_t, kMessageBytes> message;
  const uint32_t bytes = write(request, link_address_, message);
  environment_.counters.add(Counter::dhcp_tx);
  const std::span<const uint8_t> payload{message.data(), bytes};
  if (to_server) {
    // What cannot go out is sent again, like what is lost.
    udp_.send(kClientPort, {Address::v4(lease_.server), kServerPort}, payload);
    return;
  }
  const Address source = request.client == 0 ? kNobody : Address::v4(request.client);
  rte_mbuf* packet = udp_.make({source, kClientPort}, {kEverybody, kServerPort}, payload);
  if (packet == nullptr) return;
  environment_.counters.add(Counter::udp_tx);
  constexpr uint8_t kHopLimit = 64;
  sender_.send_on_link(packet, source, kEverybody, ip::kProtocolUdp, link::kBroadcast, kHopLimit);
}

bool Client::on_datagram(uint32_t, const Endpoint& remote, const Endpoint&,
                         const Payload& payload) {
  environment_.counters.add(Counter::dhcp_rx);
  uint8_t copy[kMaxMessageBytes];
  Reply reply;
  if (remote.port != kServerPort || payload.length_bytes > sizeof copy) {
    environment_.counters.add(Counter::drop_dhcp_malformed);
    return true;
  }
  const auto* bytes = static_cast<const uint8_t*>(
      rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, copy));
  if (bytes == nullptr || !parse({bytes, payload.length_bytes}, link_address_, reply) ||
      reply.transaction != transaction_) {
    environment_.counters.add(Counter::drop_dhcp_malformed);
    return true;
  }
  take(reply);
  return true;
}

void Client::take(const Reply& reply) {
  const bool is_usable = reply.server != 0 && reply.lease_s >= kLeastLeaseS &&
                         reply.prefix_bits <= 32 && reply.address != 0 &&
                         routing_.is_station(Address::v4(reply.address));
  switch (state_) {
    case State::selecting:
      // The first offer is as good as any.
      if (reply.type != MessageType::offer || !is_usable) return;
      lease_ = reply;
      requests_ = 0;
      interval_us_ = kFirstIntervalUs;
      state_ = State::requesting;
      return request();
    case State::requesting:
      if (reply.server != lease_.server) return;
      break;
    case State::renewing:
      if (reply.server != lease_.server) return;
      break;
    case State::rebinding:
      break;
    default:
      return;
  }
  if (reply.type == MessageType::nak) {
    if (state_ != State::requesting) lose_lease();
    return begin(kSecondUs);
  }
  if (reply.type == MessageType::ack && is_usable) take_lease(reply);
}

void Client::take_lease(const Reply& reply) {
  environment_.counters.add(Counter::dhcp_leases);
  const Address address = Address::v4(reply.address);
  ip::LocalAddress* own = routing_.find(address);
  const bool is_new = own == nullptr || own->origin != ip::Origin::dhcp;
  if (state_ != State::requesting && (is_new || reply.prefix_bits != lease_.prefix_bits))
    lose_lease();
  if (lease_.router != reply.router && lease_.router != 0)
    routing_.remove_routes(Address::v4(lease_.router), ip::Origin::dhcp);
  lease_ = reply;
  // Without a mask only the server's word for routers counts.
  if (lease_.prefix_bits == 0) lease_.prefix_bits = 32;
  if (routing_.find(address) == nullptr) {
    using State = ip::LocalAddress::State;
    if (routing_.add_address(address, lease_.prefix_bits, ip::Origin::dhcp,
                             probes_ ? State::tentative : State::assigned) == nullptr)
      return begin(kLastIntervalUs);
    arp_.addresses_changed();
    if (!probes_) listener_.on_address(address, AddressChange::assigned);
  }
  const auto add_route = [&](uint32_t network, uint8_t bits, uint32_t gateway) {
    routing_.add_route(Address::v4(network), bits, gateway == 0 ? Address{} : Address::v4(gateway),
                       ip::Origin::dhcp);
  };
  if (lease_.has_classless_routes) {
    for (uint32_t i = 0; i < lease_.route_count; i++)
      add_route(lease_.routes[i].network, lease_.routes[i].prefix_bits, lease_.routes[i].gateway);
  } else if (lease_.router != 0) {
    add_route(0, 0, lease_.router);
  }
  name_server_count_ = lease_.name_server_count;
  for (uint32_t i = 0; i < name_server_count_; i++)
    name_servers_[i] = Address::v4(lease_.name_servers[i]);

  state_ = State::bound;
  if (lease_.lease_s == kForever) {
    renew_at_us_ = rebind_at_us_ = expires_us_ = next_us_ = UINT64_MAX;
    return;
  }
  const uint64_t lease_us = lease_.lease_s * kSecondUs;
  const uint64_t rebind_us = lease_.rebind_s != 0
                                 ? std::clamp(lease_.rebind_s * kSecondUs, kLeastHoldUs, lease_us)
                                 : lease_us / 8 * 7;
  const uint64_t renew_us = lease_.renew_s != 0
                                ? std::clamp(lease_.renew_s * kSecondUs, kLeastHoldUs, rebind_us)
                                : lease_us / 2;
  renew_at_us_ = clock_.now_us + renew_us;
  rebind_at_us_ = clock_.now_us + rebind_us;
  expires_us_ = clock_.now_us + lease_us;
  next_us_ = renew_at_us_;
}

/// The address must not be used any more (RFC 2131 section 4.4.5).
void Client::lose_lease() {
  environment_.counters.add(Counter::dhcp_lost);
  if (ip::LocalAddress* own = routing_.find(Address::v4(lease_.address));
      own != nullptr && own->origin == ip::Origin::dhcp) {
    routing_.remove_address(*own);
    listener_.on_address(Address::v4(lease_.address), AddressChange::gone);
  }
  routing_.remove_all_routes(ip::Origin::dhcp);
  name_server_count_ = 0;
}

void Client::on_address_duplicate(const Address& address) {
  const bool has_lease =
      state_ == State::bound || state_ == State::renewing || state_ == State::rebinding;
  if (!has_lease || address != Address::v4(lease_.address)) return;
  send({.type = MessageType::decline,
        .transaction = transaction_,
        .seconds = 0,
        .requested = lease_.address,
        .server = lease_.server},
       false);
  lose_lease();
  begin(kDeclineWaitUs);
}

}  // namespace weir::net::dhcp
