#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "port/port.h"

struct rte_mempool;

namespace weir::port {

struct EthdevConfig {
  /// DPDK's name of the device: of a virtual one its driver and a number, like "net_memif0", of a
  /// card its address, like "0000:03:00.0".
  std::string name;
  /// What the driver of a virtual device is told when it is made
  /// ("role=server,socket=/run/a.sock").
  std::string arguments;
  bool is_card = false;
  /// Descriptors of each ring; a driver may have fewer.
  uint16_t descriptors = 2048;
  uint16_t mtu_bytes = 1500;
  /// Uses checksums and segmentation of the device where it has them.
  bool offload = true;
};

/// One queue of a device that a DPDK driver moves the frames of: memif, af_packet, a card. Has no
/// interrupt: a worker without work naps.
class EthdevPort final : public Port {
 public:
  /// Makes the device with one queue for each of `pools`, or as many as it has; received frames are
  /// taken from those,
  /// and starts it. The ports of one device may be used by a thread each. Nothing and `error` (what
  /// failed, why, what to do) when that is not possible.
  static std::vector<std::unique_ptr<EthdevPort>> open(const EthdevConfig& config,
                                                       std::span<rte_mempool* const> pools,
                                                       std::string& error);
  ~EthdevPort() override;

  uint32_t receive(rte_mbuf** frames, uint32_t capacity) override;
  uint32_t transmit(rte_mbuf** frames, uint32_t count) override;
  int wait_descriptor() const override { return -1; }
  std::array<uint8_t, 6> link_address() const override;
  uint16_t mtu_bytes() const override;
  bool is_up() const override;
  bool copies() const override;
  bool completes_checksums() const override;
  uint32_t large_send_bytes() const override;

 private:
  class Device;
  EthdevPort(std::shared_ptr<Device> device, uint16_t queue);

  std::shared_ptr<Device> device_;
  uint16_t id_;
  uint16_t queue_;
};

}  // namespace weir::port
