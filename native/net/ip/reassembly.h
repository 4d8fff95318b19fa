#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "net/address.h"
#include "net/clock.h"
#include "net/environment.h"
#include "net/ip/received.h"

namespace weir::net::ip {

/// What the fragments of one packet have in common (RFC 791 section 3.2, RFC 8200 section 4.5). For
/// IPv6 the protocol is not part of it and stays 0.
struct FragmentKey {
  Address source;
  Address destination;
  uint32_t identification = 0;
  uint8_t protocol = 0;
  friend bool operator==(const FragmentKey&, const FragmentKey&) = default;
};

/// One fragment. `frame` holds `header_bytes` of link and IP headers, then `length_bytes` that
/// belong at `offset_bytes` of the packet's payload.
struct Fragment {
  rte_mbuf* frame;
  uint32_t header_bytes;
  uint32_t offset_bytes;
  uint32_t length_bytes;
  bool more;
};

struct ReassemblyLimits {
  uint32_t max_datagrams = 64;
  uint32_t max_datagrams_per_source = 16;
  /// Of buffers, not of what is in them: a fragment of one byte holds a whole one.
  uint32_t max_bytes = 2 * 1024 * 1024;
  uint32_t max_bytes_per_source = 512 * 1024;
  /// RFC 791 section 3.2 and Linux.
  uint64_t timeout_v4_us = 30'000'000;
  /// RFC 8200 section 4.5.
  uint64_t timeout_v6_us = 60'000'000;
};

/// Told of packets that did not become whole in time.
class ReassemblyListener {
 public:
  /// `first` is the packet's first fragment, from its IP header on; it is freed after the call.
  virtual void on_reassembly_timeout(const Received& first) = 0;

 protected:
  ~ReassemblyListener() = default;
};

/// Puts packets of both address families together from their fragments. Fragments in order, without
/// gaps and without overlaps make a packet; one that overlaps others makes all of them void (RFC
/// 5722, and for IPv4 the same), one that is there already is dropped alone. At the bounds the
/// oldest packets give way, first those of the same source.
class Reassembly {
 public:
  /// Fragments of one packet: the longest one, 65,535 bytes, over the smallest path MTU.
  static constexpr uint32_t kMaxFragments = 128;
  static constexpr uint32_t kMaxPayloadBytes = 65535;

  Reassembly(const ReassemblyLimits& limits, const Clock& clock, const Environment& environment,
             ReassemblyListener& listener);
  ~Reassembly();
  Reassembly(const Reassembly&) = delete;
  Reassembly& operator=(const Reassembly&) = delete;

  /// Takes ownership of a fragment's frame. Returns the packet when it is whole: a chain that
  /// begins with the headers of the first fragment, as they were, and then has `payload_bytes`.
  /// Else nullptr.
  rte_mbuf* add(const FragmentKey& key, const Fragment& fragment, uint32_t& payload_bytes);

  void run_timers();
  uint64_t next_deadline_us() const { return deadline_us_; }
  /// Packets that wait, void ones too.
  uint32_t waiting() const { return waiting_; }

 private:
  struct Piece {
    rte_mbuf* frame;
    uint32_t offset_bytes;
    uint16_t length_bytes;
    uint16_t header_bytes;
  };
  struct Datagram {
    FragmentKey key;
    bool used = false;
    /// Its fragments overlapped: what comes of it is dropped until its time is over.
    bool is_void = false;
    uint64_t number = 0;
    uint64_t deadline_us = 0;
    uint32_t held_bytes = 0;
    uint32_t received_bytes = 0;
    /// UINT32_MAX until the last fragment has come.
    uint32_t total_bytes = UINT32_MAX;
    uint32_t count = 0;
    std::array<Piece, kMaxFragments> pieces;
  };

  Datagram* find(const FragmentKey& key);
  Datagram* enter(const FragmentKey& key);
  bool make_room(Datagram& datagram, uint32_t bytes);
  Datagram* oldest(const Address* source, const Datagram* except);
  void drop(Datagram& datagram, Counter reason);
  void make_void(Datagram& datagram);
  void release(Datagram& datagram);
  rte_mbuf* join(Datagram& datagram);
  void find_deadline();

  ReassemblyLimits limits_;
  const Clock& clock_;
  Environment environment_;
  ReassemblyListener& listener_;
  std::vector<Datagram> datagrams_;
  uint32_t waiting_ = 0;
  uint32_t held_bytes_ = 0;
  uint64_t next_number_ = 0;
  uint64_t deadline_us_ = UINT64_MAX;
};

}  // namespace weir::net::ip
