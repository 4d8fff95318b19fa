#include "port/interface_setup.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

namespace weir::port {

namespace {

class ControlSocket {
 public:
  ControlSocket() : descriptor_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~ControlSocket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;
  bool call(unsigned long request, ifreq& argument) const {
    return ioctl(descriptor_, request, &argument) == 0;
  }

 private:
  int descriptor_;
};

std::string failure(const std::string& what, const std::string& name) {
  const int error = errno;
  std::string text = "cannot " + what + " of interface " + name + ": " + std::strerror(error);
  if (error == EPERM || error == EACCES)
    text += " (run as root, or give this process CAP_NET_ADMIN)";
  if (error == ENODEV) text += " (it is not in this network namespace: see `ip link`)";
  return text;
}

void put_address(ifreq& request, uint32_t address_be) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = address_be;
  std::memcpy(&request.ifr_addr, &address, sizeof address);
}

/// Splits "10.0.0.1/24". False if it is not of that form.
bool parse(const std::string& text, uint32_t& address_be, uint32_t& mask_be) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return false;
  unsigned bits = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + slash + 1, end, bits);
  if (error != std::errc{} || rest != end || bits > 32) return false;
  mask_be = htonl(bits == 0 ? 0 : UINT32_MAX << (32 - bits));
  return inet_pton(AF_INET, text.substr(0, slash).c_str(), &address_be) == 1;
}

}  // namespace

std::string set_up_interface(const std::string& name, const InterfaceSetup& setup) {
  if (name.empty() || name.size() >= IFNAMSIZ)
    return "interface name \"" + name + "\" must have 1 to 15 characters";
  const ControlSocket socket;
  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), name.size() + 1);

  if (setup.mtu_bytes != 0) {
    request.ifr_mtu = setup.mtu_bytes;
    if (!socket.call(SIOCSIFMTU, request)) return failure("set the MTU", name);
  }
  if (!setup.address.empty()) {
    uint32_t address_be = 0, mask_be = 0;
    if (!parse(setup.address, address_be, mask_be))
      return "\"" + setup.address + "\" is not an IPv4 address with a prefix, like 10.0.0.1/24";
    put_address(request, address_be);
    if (!socket.call(SIOCSIFADDR, request)) return failure("set the address", name);
    put_address(request, mask_be);
    if (!socket.call(SIOCSIFNETMASK, request)) return failure("set the prefix", name);
  }
  if (setup.up) {
    if (!socket.call(SIOCGIFFLAGS, request)) return failure("read the flags", name);
    request.ifr_flags |= IFF_UP;
    if (!socket.call(SIOCSIFFLAGS, request)) return failure("set the up flag", name);
  }
  return {};
}

bool is_interface_up(int control, const std::string& name) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), name.size() + 1);
  if (ioctl(control, SIOCGIFFLAGS, &request) != 0) return false;
  constexpr int kUp = IFF_UP | IFF_RUNNING;
  return (request.ifr_flags & kUp) == kUp;
}

}  // namespace weir::port
