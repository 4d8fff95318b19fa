#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "port/port.h"

struct rte_mempool;

namespace weir::port {

struct AfXdpConfig {
  /// An interface that exists, without addresses of the kernel's.
  std::string interface;
  uint16_t mtu_bytes = 1500;
  /// Our link address; the interface's own without one.
  std::optional<std::array<uint8_t, 6>> link_address = {};
};

/// A queue of an interface that the kernel keeps, taken from it by an XDP program: its frames come
/// and go through memory that is shared with the kernel (AF_XDP, one UMEM of its own). Received
/// frames are handed up where the kernel or the card put them; those that are sent are copied into
/// that memory once.
///
/// The program is attached by a BPF link, which ends with the process however that ends. All queues
/// of the interface have it in common.
class AfXdpPort final : public Port {
 public:
  /// Takes the first `queues` receive queues of the interface, or as many as it has; the frames of
  /// further ones stay the kernel's. Nothing and `error` (what failed, why, what to do) on failure.
  static std::vector<std::unique_ptr<AfXdpPort>> open(const AfXdpConfig& config, uint32_t queues,
                                                      std::string& error);
  ~AfXdpPort() override;
  AfXdpPort(const AfXdpPort&) = delete;
  AfXdpPort& operator=(const AfXdpPort&) = delete;

  uint32_t receive(rte_mbuf** frames, uint32_t capacity) override;
  uint32_t transmit(rte_mbuf** frames, uint32_t count) override;
  int wait_descriptor() const override;
  std::array<uint8_t, 6> link_address() const override { return link_address_; }
  uint16_t mtu_bytes() const override { return mtu_bytes_; }
  bool is_up() const override;
  /// Whether the driver puts frames into the shared memory itself, without a copy of the kernel's.
  bool is_zero_copy() const;

 private:
  struct Kernel;
  struct Program;
  explicit AfXdpPort(const AfXdpConfig& config);

  int bind(uint32_t queue, std::string& error);
  std::string find_link_address(const AfXdpConfig& config);
  std::string make_memory();
  void refill();
  void reclaim();
  void kick(uint32_t count);

  std::unique_ptr<Kernel> kernel_;
  std::string interface_;
  std::array<uint8_t, 6> link_address_{};
  uint16_t mtu_bytes_;
  uint8_t* memory_ = nullptr;
  rte_mempool* pool_ = nullptr;
  /// Which buffer a chunk of the memory belongs to.
  std::vector<rte_mbuf*> buffer_of_chunk_;
  /// Chunks for sending that the kernel does not have, by address.
  std::vector<uint64_t> free_;
};

}  // namespace weir::port
