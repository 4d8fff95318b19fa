#pragma once
#include <cstdint>
#include <string>

namespace weir::port {

/// How the kernel's side of an interface is to be. Empty or 0: as it is.
struct InterfaceSetup {
  bool up = true;
  uint16_t mtu_bytes = 0;
  /// IPv4 address and prefix, like "10.0.0.1/24".
  std::string address;
};

/// Sets up an interface of the current network namespace. Returns what went wrong and what to do,
/// or nothing.
std::string set_up_interface(const std::string& name, const InterfaceSetup& setup);

/// Whether an interface is up and has its carrier. `control` is a socket of its network namespace.
bool is_interface_up(int control, const std::string& name);

}  // namespace weir::port
