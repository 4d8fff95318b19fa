#include "net/dhcp/message.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace weir::net::dhcp {

namespace {

// Offsets of RFC 2131 section 2.
constexpr uint32_t kTransaction = 4, kSeconds = 8, kFlags = 10, kClient = 12, kYours = 16,
                   kHardware = 28, kServerName = 44, kFile = 108, kCookie = 236, kOptions = 240;
constexpr uint32_t kServerNameBytes = 64, kFileBytes = 128;
constexpr uint32_t kMagic = 0x63825363;
constexpr uint16_t kBroadcastFlag = 0x8000;
constexpr uint8_t kBootRequest = 1, kBootReply = 2, kEthernet = 1;

// RFC 2132, RFC 3442.
enum Option : uint8_t {
  pad = 0,
  subnet_mask = 1,
  router = 3,
  name_server = 6,
  requested_address = 50,
  lease_time = 51,
  overload = 52,
  message_type = 53,
  server_identifier = 54,
  parameter_list = 55,
  maximum_size = 57,
  renewal_time = 58,
  rebinding_time = 59,
  client_identifier = 61,
  classless_routes = 121,
  end = 255,
};

uint32_t get32(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}
void put32(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

/// Prefix length, significant bytes of the network, gateway; again and again (RFC 3442).
bool take_routes(std::span<const uint8_t> value, Reply& reply) {
  reply.has_classless_routes = true;
  reply.route_count = 0;
  for (size_t at = 0; at < value.size();) {
    const uint8_t bits = value[at++];
    const size_t significant = (bits + 7u) / 8;
    if (bits > 32 || at + significant + 4 > value.size()) return false;
    uint8_t network[4] = {};
    std::copy_n(value.begin() + static_cast<ptrdiff_t>(at), significant, network);
    at += significant;
    if (reply.route_count < kMaxRoutes)
      reply.routes[reply.route_count++] = {get32(network), bits, get32(&value[at])};
    at += 4;
  }
  return true;
}

/// False if the option's length is impossible.
bool take_option(uint8_t code, std::span<const uint8_t> value, Reply& reply, uint8_t& overloaded) {
  const auto number = [&](uint32_t& into) {
    if (value.size() != 4) return false;
    into = get32(value.data());
    return true;
  };
  switch (code) {
    case message_type:
      if (value.size() != 1) return false;
      reply.type = static_cast<MessageType>(value[0]);
      return true;
    case server_identifier:
      return number(reply.server);
    case lease_time:
      return number(reply.lease_s);
    case renewal_time:
      return number(reply.renew_s);
    case rebinding_time:
      return number(reply.rebind_s);
    case subnet_mask: {
      uint32_t mask;
      if (!number(mask)) return false;
      reply.prefix_bits = static_cast<uint8_t>(std::countl_one(mask));
      return std::popcount(mask) == reply.prefix_bits;
    }
    case router:
      if (value.size() < 4 || value.size() % 4 != 0) return false;
      reply.router = get32(value.data());
      return true;
    case name_server:
      if (value.size() % 4 != 0) return false;
      reply.name_server_count = 0;
      for (size_t at = 0; at < value.size() && reply.name_server_count < kMaxServers; at += 4)
        reply.name_servers[reply.name_server_count++] = get32(&value[at]);
      return true;
    case overload:
      if (value.size() != 1) return false;
      overloaded = value[0];
      return true;
    case classless_routes:
      return take_routes(value, reply);
    default:
      return true;
  }
}

bool take_options(std::span<const uint8_t> options, Reply& reply, uint8_t& overloaded) {
  for (size_t at = 0; at < options.size();) {
    const uint8_t code = options[at++];
    if (code == pad) continue;
    if (code == end) return true;
    if (at >= options.size() || at + 1 + options[at] > options.size()) return false;
    if (!take_option(code, options.subspan(at + 1, options[at]), reply, overloaded)) return false;
    at += 1u + options[at];
  }
  return true;
}

}  // namespace

bool parse(std::span<const uint8_t> message, const std::array<uint8_t, 6>& link_address,
           Reply& reply) {
  reply = {};
  if (message.size() < kOptions || message.size() > kMaxMessageBytes || message[0] != kBootReply ||
      message[1] != kEthernet || message[2] != 6 || get32(&message[kCookie]) != kMagic ||
      !std::equal(link_address.begin(), link_address.end(), &message[kHardware]))
    return false;
  reply.transaction = get32(&message[kTransaction]);
  reply.address = get32(&message[kYours]);
  uint8_t overloaded = 0, ignored = 0;
  if (!take_options(message.subspan(kOptions), reply, overloaded)) return false;
  // RFC 2132 section 9.3: options may go on in the fields for the file's and the server's name.
  if ((overloaded & 1) != 0 && !take_options(message.subspan(kFile, kFileBytes), reply, ignored))
    return false;
  return (overloaded & 2) == 0 ||
         take_options(message.subspan(kServerName, kServerNameBytes), reply, ignored);
}

uint32_t write(const Request& request, const std::array<uint8_t, 6>& link_address,
               std::span<uint8_t, kMessageBytes> message) {
  std::fill(message.begin(), message.end(), 0);
  message[0] = kBootRequest;
  message[1] = kEthernet;
  message[2] = 6;
  put32(&message[kTransaction], request.transaction);
  message[kSeconds] = static_cast<uint8_t>(request.seconds >> 8);
  message[kSeconds + 1] = static_cast<uint8_t>(request.seconds);
  if (request.broadcast) message[kFlags] = kBroadcastFlag >> 8;
  put32(&message[kClient], request.client);
  std::copy(link_address.begin(), link_address.end(), &message[kHardware]);
  put32(&message[kCookie], kMagic);
  uint32_t at = kOptions;
  const auto add = [&](uint8_t code, std::initializer_list<uint8_t> value) {
    message[at++] = code;
    message[at++] = static_cast<uint8_t>(value.size());
    for (const uint8_t byte : value) message[at++] = byte;
  };
  const auto add32 = [&](uint8_t code, uint32_t value) {
    if (value == 0) return;
    message[at] = code;
    message[at + 1] = 4;
    put32(&message[at + 2], value);
    at += 6;
  };
  add(message_type, {static_cast<uint8_t>(request.type)});
  add(client_identifier, {kEthernet, link_address[0], link_address[1], link_address[2],
                          link_address[3], link_address[4], link_address[5]});
  add32(requested_address, request.requested);
  add32(server_identifier, request.server);
  if (request.type == MessageType::discover || request.type == MessageType::request) {
    add(maximum_size, {kMaxMessageBytes >> 8, kMaxMessageBytes & 0xff});
    add(parameter_list,
        {subnet_mask, router, name_server, classless_routes, renewal_time, rebinding_time});
  }
  message[at++] = end;
  // BOOTP's length, which some relays insist on (RFC 1542 section 2.1).
  return std::max<uint32_t>(at, 300);
}

}  // namespace weir::net::dhcp
