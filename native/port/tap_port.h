#pragma once
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/counters.h"
#include "port/port.h"

struct rte_mempool;

namespace weir::port {

struct TapConfig {
  /// Name of the interface, up to 15 characters; it is created unless it exists. "%d" in it is
  /// replaced by a number.
  std::string name = "weir%d";
  /// Our link address; without one, a random locally administered one.
  std::optional<std::array<uint8_t, 6>> link_address = {};
  /// Longest packet; the kernel's side gets the same (see set_up_interface).
  uint16_t mtu_bytes = 1500;
  /// Packets of up to 64 KiB in both directions, and checksums that nobody computes while they stay
  /// on this machine: quicker, but packet captures show long packets with incomplete checksums.
  bool offload = false;
  /// One of several queues of the interface: further ones may be opened by its name.
  bool is_one_of_many = false;
};

/// What stands before every frame (virtio 1.2 section 5.1.6), in the byte order of the machine. The
/// kernel's own header is not valid C++.
struct VirtioNetHeader {
  uint8_t flags;
  uint8_t segmentation_type;
  uint16_t header_bytes;
  uint16_t segment_bytes;
  uint16_t checksum_start;
  uint16_t checksum_offset;
  uint16_t buffers;
};
static_assert(sizeof(VirtioNetHeader) == 12);

/// A TAP interface of the current network namespace: the kernel is the station at its other end.
/// Frames are read into packet buffers and written from them without a copy of ours; every frame
/// carries a virtio_net header (IFF_VNET_HDR).
class TapPort final : public Port {
 public:
  /// `pool` gives the buffers for received frames. Returns nothing and sets `error` (what failed,
  /// why, what to do) on failure.
  static std::unique_ptr<TapPort> open(const TapConfig& config, rte_mempool* pool,
                                       Counters& counters, std::string& error);
  ~TapPort() override;
  TapPort(const TapPort&) = delete;
  TapPort& operator=(const TapPort&) = delete;

  uint32_t receive(rte_mbuf** frames, uint32_t capacity) override;
  uint32_t transmit(rte_mbuf** frames, uint32_t count) override;
  int wait_descriptor() const override { return descriptor_; }
  std::array<uint8_t, 6> link_address() const override { return link_address_; }
  uint16_t mtu_bytes() const override { return mtu_bytes_; }
  bool is_up() const override;
  bool completes_checksums() const override { return offload_; }
  uint32_t large_send_bytes() const override { return offload_ ? kLargestPacketBytes : 0; }
  /// The interface's name, as the kernel has it.
  const std::string& name() const { return name_; }

 private:
  /// Segments of a frame to send; a longer chain is dropped and counted.
  static constexpr uint32_t kMaxTransmitSegments = 64;
  static constexpr uint32_t kLargestPacketBytes = 65535;

  TapPort(int descriptor, int control, std::string name, const std::array<uint8_t, 6>& link_address,
          const TapConfig& config, rte_mempool* pool, Counters& counters);

  enum class Written { sent, dropped, full };

  bool refill();
  rte_mbuf* take_received(uint32_t frame_bytes);
  Written write_frame(rte_mbuf* frame);

  int descriptor_;
  /// A socket of the interface's network namespace, to ask for its state.
  int control_;
  std::string name_;
  std::array<uint8_t, 6> link_address_;
  uint16_t mtu_bytes_;
  bool offload_;
  rte_mempool* pool_;
  Counters& counters_;
  /// Empty buffers that the next frame is read into; their capacity is more than the longest frame.
  /// The first `missing_` have gone with the last frame.
  std::vector<rte_mbuf*> empty_;
  uint32_t missing_;
  uint32_t capacity_bytes_;
  VirtioNetHeader receive_header_{};
  /// The header, then one entry for each buffer of empty_.
  std::vector<iovec> receive_vector_;
};

}  // namespace weir::port
