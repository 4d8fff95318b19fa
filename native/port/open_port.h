#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "port/port.h"

struct rte_mempool;

namespace weir::port {

enum class Driver { tap, memif, af_xdp, af_packet, pci };

/// What port to open; docs/ports.md says what each driver is for.
struct PortConfig {
  Driver driver = Driver::tap;
  /// tap: name of the interface. memif: path of the socket. af_xdp, af_packet: an interface that
  /// exists. pci: a card's address, or a virtual device of DPDK's with what its driver is told,
  /// like "net_af_packet0,iface=eth1".
  std::string device = "weir%d";
  /// Our link address; without one, the device's own or a random one.
  std::optional<std::array<uint8_t, 6>> link_address = {};
  uint16_t mtu_bytes = 1500;
  /// Leaves checksums and the cutting of long packets to the device where it can do them.
  bool offload = false;
  /// memif: connects to a socket that another process serves, instead of serving it.
  bool connects = false;
};

/// The driver of this name, as host.toml has it; nothing if there is none.
std::optional<Driver> driver_of(std::string_view name);

/// Whether this is the address of a card, like "0000:03:00.0".
bool is_card_address(std::string_view device);

/// What a queue is given: where its received frames are taken from, and whose counters its drops
/// are in.
struct QueueResources {
  rte_mempool* pool;
  Counters* counters;
};

/// Whether received frames lie in buffers that the port is given. af_xdp has its own.
bool receives_into_given_buffers(Driver driver);

/// How many queues a port of this driver can have. memif: DPDK's driver cannot tell when the other
/// side has fewer.
uint32_t max_queues(Driver driver);

/// Opens a port with a queue for each of `queues`, at most max_queues of them; fewer where the
/// device has fewer. Nothing and `error`
/// (what failed, why, what to do) when that is not possible.
std::vector<std::unique_ptr<Port>> open_port(const PortConfig& config,
                                             std::span<const QueueResources> queues,
                                             std::string& error);

}  // namespace weir::port
