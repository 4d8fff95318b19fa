#pragma once
#include <array>
#include <cstdint>

#include "net/dns/resolver.h"
#include "net/ip/routing.h"

namespace weir::net {

/// What a stack has found out about its link: the stacks beside it at the same port, which do not
/// ask for themselves, are given it.
struct LinkState {
  ip::Routing routing;
  std::array<Address, dns::ServerList::kMaxServers> name_servers;
  uint32_t name_server_count;
  uint16_t mtu_v6_bytes;
  uint8_t hop_limit_v6;
};

}  // namespace weir::net
