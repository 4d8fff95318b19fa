#pragma once
#include <cstdint>

#include "base/packet_pool.h"
#include "port/port.h"
#include "sim/link.h"
#include "sim/pcap.h"

namespace weir::testbed {

/// The host's end of a simulated link: frames that arrive are copied into packet buffers, and what
/// is sent is copied out of them, as a device does.
class LinkPort final : public port::Port {
 public:
  /// Frames that may be under way in one direction; more are lost, as at a device's queue.
  static constexpr uint32_t kMaxUnderWay = 16'384;

  LinkPort(sim::Link& incoming, sim::Link& outgoing, const PacketPool& frames,
           std::array<uint8_t, 6> link_address, uint16_t mtu_bytes)
      : incoming_(incoming),
        outgoing_(outgoing),
        frames_(frames),
        link_address_(link_address),
        mtu_bytes_(mtu_bytes) {}

  /// Sets the time of what is received and sent from now on.
  void set_now(uint64_t now_us) { now_ns_ = now_us * 1000; }
  /// Everything that passes this port is written here as well; nullptr for nowhere.
  void set_capture(sim::PcapWriter* capture) { capture_ = capture; }
  /// Frames that were lost because too many were under way.
  uint64_t overflowed() const { return overflowed_; }

  uint32_t receive(rte_mbuf** frames, uint32_t capacity) override;
  uint32_t transmit(rte_mbuf** frames, uint32_t count) override;
  /// Time is virtual: there is nothing to wait on.
  int wait_descriptor() const override { return -1; }
  std::array<uint8_t, 6> link_address() const override { return link_address_; }
  uint16_t mtu_bytes() const override { return mtu_bytes_; }

 private:
  sim::Link& incoming_;
  sim::Link& outgoing_;
  const PacketPool& frames_;
  std::array<uint8_t, 6> link_address_;
  uint16_t mtu_bytes_;
  uint64_t now_ns_ = 0;
  uint64_t overflowed_ = 0;
  sim::PcapWriter* capture_ = nullptr;
};

/// Frames that were sent and have not arrived.
uint64_t under_way(const sim::Link& link);

/// A packet buffer with a copy of `bytes`; nullptr when the pool is empty or they do not fit.
rte_mbuf* buffer_of(const sim::Frame& bytes, const PacketPool& pool);

/// A copy of a packet's bytes, those of all its segments.
sim::Frame bytes_of(const rte_mbuf* packet);

}  // namespace weir::testbed
