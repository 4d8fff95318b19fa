#include "port/open_port.h"

#include <net/if.h>
#include <rte_log.h>
#include <rte_pci.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "port/af_xdp_port.h"
#include "port/ethdev_port.h"
#include "port/tap_port.h"

namespace weir::port {
namespace {

using Ports = std::vector<std::unique_ptr<Port>>;

/// Slots of a memif ring, as a power of two: enough for a whole batch of every connection that
/// answers at once.
constexpr int kMemifSlotsLog2 = 12;
/// Bytes of a memif slot.
constexpr int kMemifSlotBytes = 2048;

std::string text_of(const std::array<uint8_t, 6>& address) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", address[0], address[1],
                address[2], address[3], address[4], address[5]);
  return text;
}

/// A name for one more device of a driver.
std::string next_name(const char* driver) {
  static std::atomic<uint32_t> next{0};
  return driver + std::to_string(next++);
}

Ports open_tap(const PortConfig& config, std::span<const QueueResources> queues,
               std::string& error) {
  TapConfig tap{.name = config.device,
                .link_address = config.link_address,
                .mtu_bytes = config.mtu_bytes,
                .offload = config.offload,
                .is_one_of_many = queues.size() > 1};
  Ports ports;
  for (const QueueResources& queue : queues) {
    auto port = TapPort::open(tap, queue.pool, *queue.counters, error);
    if (port == nullptr) return {};
    tap.name = port->name();
    tap.link_address = port->link_address();
    ports.push_back(std::move(port));
  }
  return ports;
}

Ports open_af_xdp(const PortConfig& config, std::span<const QueueResources> queues,
                  std::string& error) {
  Ports ports;
  for (auto& port : AfXdpPort::open({.interface = config.device,
                    .mtu_bytes = config.mtu_bytes,
                    .link_address = config.link_address},
                                    static_cast<uint32_t>(queues.size()), error))
    ports.push_back(std::move(port));
  return ports;
}

Ports open_ethdev(const EthdevConfig& config, std::span<const QueueResources> queues,
                  std::string& error) {
  std::vector<rte_mempool*> pools;
  for (const QueueResources& queue : queues) pools.push_back(queue.pool);
  Ports ports;
  for (auto& port : EthdevPort::open(config, pools, error)) ports.push_back(std::move(port));
  return ports;
}

/// A process that was killed leaves its socket behind: if nobody answers there, it goes. What went
/// wrong, or nothing.
std::string clear_socket(const std::string& path) {
  struct stat about;
  if (lstat(path.c_str(), &about) != 0) return {};
  if (!S_ISSOCK(about.st_mode)) return path + " exists and is no socket";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  const bool answers =
      probe >= 0 && connect(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (probe >= 0) close(probe);
  if (answers) return "another process serves the socket " + path;
  unlink(path.c_str());
  return {};
}

Ports open_memif(const PortConfig& config, std::span<const QueueResources> queues,
                 std::string& error) {
  if (config.device.size() >= sizeof sockaddr_un{}.sun_path ||
      config.device.find(',') != std::string::npos) {
    error = "the path of a memif socket has at most 107 characters and no comma: " + config.device;
    return {};
  }
  if (!config.connects) {
    if (const std::string problem = clear_socket(config.device); !problem.empty()) {
      error = "cannot open a memif port: " + problem;
      return {};
    }
  }
  // It wants secondary processes, which there are none of, and says so at every start.
  rte_log_set_level_pattern("pmd.net.memif", RTE_LOG_CRIT);
  std::string arguments = std::string("role=") + (config.connects ? "client" : "server") +
                          ",socket=" + config.device +
                          ",socket-abstract=no,rsize=" + std::to_string(kMemifSlotsLog2) +
                          ",bsize=" + std::to_string(kMemifSlotBytes);
  if (config.link_address) arguments += ",mac=" + text_of(*config.link_address);
  return open_ethdev({.name = next_name("net_memif"),
                      .arguments = arguments,
                      .descriptors = 1 << kMemifSlotsLog2,
                      .mtu_bytes = config.mtu_bytes,
                      .offload = config.offload},
                     queues, error);
}

/// A card by its address; one that is none is taken for a virtual device.
Ports open_pci(const PortConfig& config, std::span<const QueueResources> queues,
               std::string& error) {
  const size_t comma = config.device.find(',');
  const std::string name = config.device.substr(0, comma);
  return open_ethdev(
      {.name = name,
       .arguments = comma == std::string::npos ? std::string() : config.device.substr(comma + 1),
       .is_card = is_card_address(name),
       .mtu_bytes = config.mtu_bytes,
       .offload = config.offload},
      queues, error);
}

}  // namespace

bool is_card_address(std::string_view device) {
  rte_pci_addr address;
  return rte_pci_addr_parse(std::string(device).c_str(), &address) == 0;
}

std::optional<Driver> driver_of(std::string_view name) {
  constexpr std::pair<std::string_view, Driver> kDrivers[] = {{"tap", Driver::tap},
                                                              {"memif", Driver::memif},
                                                              {"af_xdp", Driver::af_xdp},
                                                              {"af_packet", Driver::af_packet},
                                                              {"pci", Driver::pci}};
  for (const auto& [each, driver] : kDrivers)
    if (each == name) return driver;
  return {};
}

bool receives_into_given_buffers(Driver driver) { return driver != Driver::af_xdp; }

uint32_t max_queues(Driver driver) {
  switch (driver) {
    case Driver::tap:
    case Driver::af_packet:
    case Driver::af_xdp:
    case Driver::pci:
      return 64;
    case Driver::memif:
      return 1;
  }
  return 1;
}

std::vector<std::unique_ptr<Port>> open_port(const PortConfig& config,
                                             std::span<const QueueResources> queues,
                                             std::string& error) {
  switch (config.driver) {
    case Driver::tap:
      return open_tap(config, queues, error);
    case Driver::memif:
      return open_memif(config, queues, error);
    case Driver::af_xdp:
      return open_af_xdp(config, queues, error);
    case Driver::af_packet:
      if (if_nametoindex(config.device.c_str()) == 0) {
        error = "cannot open the interface " + config.device + ": " + strerror(errno) +
                " (ip link shows those that exist here)";
        return {};
      }
      return open_ethdev(
          {.name = next_name("net_af_packet"),
           .arguments = "iface=" + config.device + ",qpairs=" + std::to_string(queues.size()) +
                        ",blocksz=4096,framesz=2048,framecnt=2048",
           .mtu_bytes = config.mtu_bytes,
           .offload = config.offload},
          queues, error);
    case Driver::pci:
      return open_pci(config, queues, error);
  }
  return {};
}

}  // namespace weir::port
