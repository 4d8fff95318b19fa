#pragma once
#include <array>
#include <cstdint>
#include <string>

struct rte_mbuf;

namespace weir::port {

/// Where frames come from and go to. One object serves one queue, used by one worker's thread.
class Port {
 public:
  virtual ~Port() = default;
  /// Fills `frames` with up to `capacity` received frames and returns how many. Never waits.
  virtual uint32_t receive(rte_mbuf** frames, uint32_t capacity) = 0;
  /// Sends frames in order and takes ownership of those it took; returns how many. Never waits.
  virtual uint32_t transmit(rte_mbuf** frames, uint32_t count) = 0;
  /// A descriptor that becomes readable when frames may be waiting, or -1 when there is none (the
  /// worker naps).
  virtual int wait_descriptor() const = 0;
  virtual std::array<uint8_t, 6> link_address() const = 0;
  virtual uint16_t mtu_bytes() const = 0;
  /// Frames that are sent reach somebody. False at first where the other side is still to be set
  /// up.
  virtual bool is_up() const { return true; }
  /// The port copies frames itself, both ways, between our buffers and memory of its own. The
  /// kernel's copies do not count.
  virtual bool copies() const { return false; }
  /// The port completes TCP checksums of packets with RTE_MBUF_F_TX_TCP_CKSUM: their checksum field
  /// holds the sum of the pseudo header, with the length.
  virtual bool completes_checksums() const { return false; }
  /// The longest IP packet that the port cuts into segments of tso_segsz where
  /// RTE_MBUF_F_TX_TCP_SEG is set; 0 when it does not.
  virtual uint32_t large_send_bytes() const { return 0; }
};

}  // namespace weir::port
