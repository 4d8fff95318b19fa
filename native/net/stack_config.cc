#include "net/ip/routing.h"
#include "net/stack.h"

namespace weir::net {

namespace {

uint8_t longest_prefix(const Address& address) { return address.is_v4() ? 32 : 128; }

}  // namespace

std::string check(const StackConfig& config) {
  if (config.addresses.size() > kMaxConfiguredAddresses)
    return "a port has at most " + std::to_string(kMaxConfiguredAddresses) + " addresses";
  if (config.routes.size() > kMaxConfiguredRoutes)
    return "a port has at most " + std::to_string(kMaxConfiguredRoutes) + " routes";
  if (config.vlan_id > 4094) return "a VLAN has a number from 1 to 4094";

  const ip::Routing routing(config);
  for (size_t i = 0; i < config.addresses.size(); i++) {
    const auto& [address, prefix_bits] = config.addresses[i];
    const std::string name = "address " + std::to_string(i + 1);
    if (prefix_bits > longest_prefix(address)) return name + " has an impossible prefix length";
    if (!routing.is_station(address)) return name + " is not one that a host can have";
    for (size_t j = 0; j < i; j++)
      if (config.addresses[j].address == address) return name + " is there twice";
  }
  for (size_t i = 0; i < config.routes.size(); i++) {
    const Route& route = config.routes[i];
    const std::string name = "route " + std::to_string(i + 1);
    if (route.prefix_bits > longest_prefix(route.prefix))
      return name + " has an impossible prefix length";
    if (route.gateway.is_v4() != route.prefix.is_v4())
      return name + " has a gateway of the other address family";
    // It need not lie in a prefix of ours: a host with a prefix of its full length has one all the
    // same.
    if (!routing.is_station(route.gateway) || routing.find(route.gateway) != nullptr)
      return name + " has a gateway that is not another host";
  }
  if (config.name_servers.size() > kMaxNameServers)
    return "a port has at most " + std::to_string(kMaxNameServers) + " name servers";
  const bool speaks_v6 = routing.speaks_v6();
  const uint16_t least = speaks_v6 ? kMinMtuV6Bytes : kMinMtuV4Bytes;
  if (config.mtu_bytes < least)
    return "an MTU of " + std::to_string(config.mtu_bytes) +
           " is too small: " + (speaks_v6 ? "IPv6" : "IPv4") + " needs " + std::to_string(least);
  if (config.mtu_bytes > kMaxMtuBytes)
    return "an MTU of " + std::to_string(config.mtu_bytes) + " is too large: packet buffers hold " +
           std::to_string(kMaxMtuBytes) + " bytes; set the interface's MTU to that or less";
  return "";
}

}  // namespace weir::net
