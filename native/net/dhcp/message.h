#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "net/address.h"

namespace weir::net::dhcp {

inline constexpr uint16_t kClientPort = 68;
inline constexpr uint16_t kServerPort = 67;
/// The least that relays and servers take (RFC 2131 section 2), and what we say that we take.
inline constexpr uint32_t kMessageBytes = 548;
inline constexpr uint32_t kMaxMessageBytes = 1472;
inline constexpr uint32_t kMaxServers = 3;
/// Routes of one lease, besides the default one.
inline constexpr uint32_t kMaxRoutes = 8;

/// RFC 2132 section 9.6.
enum class MessageType : uint8_t {
  none = 0,
  discover = 1,
  offer = 2,
  request = 3,
  decline = 4,
  ack = 5,
  nak = 6,
  release = 7,
};

/// One classless static route (RFC 3442).
struct LeaseRoute {
  uint32_t network = 0;
  uint8_t prefix_bits = 0;
  uint32_t gateway = 0;
};

/// What a server says, as far as a client uses it. IPv4 addresses are numbers, 0 for none.
struct Reply {
  MessageType type = MessageType::none;
  uint32_t transaction = 0;
  uint32_t address = 0;
  uint32_t server = 0;
  uint8_t prefix_bits = 0;
  uint32_t router = 0;
  uint32_t lease_s = 0;
  /// T1 and T2; 0 when the server leaves them to us.
  uint32_t renew_s = 0;
  uint32_t rebind_s = 0;
  std::array<uint32_t, kMaxServers> name_servers{};
  uint32_t name_server_count = 0;
  std::array<LeaseRoute, kMaxRoutes> routes{};
  uint32_t route_count = 0;
  /// Classless routes are there: then `router` does not count (RFC 3442).
  bool has_classless_routes = false;
};

/// Reads a message for the station with `link_address`. False if it is malformed, no reply, or for
/// another station.
bool parse(std::span<const uint8_t> message, const std::array<uint8_t, 6>& link_address,
           Reply& reply);

/// What a client says.
struct Request {
  MessageType type;
  uint32_t transaction;
  uint16_t seconds;
  /// Ours, when we have it (ciaddr).
  uint32_t client = 0;
  /// Options 50 and 54; 0 leaves them out.
  uint32_t requested = 0;
  uint32_t server = 0;
  /// The answer shall be broadcast: we could not receive it else (RFC 2131 section 4.1).
  bool broadcast = false;
};

/// Writes a message of kMessageBytes or fewer and returns how many.
uint32_t write(const Request& request, const std::array<uint8_t, 6>& link_address,
               std::span<uint8_t, kMessageBytes> message);

}  // namespace weir::net::dhcp
