#pragma once
#include <cstdint>

#include "base/counters.h"

struct rte_mbuf;
struct rte_mempool;

namespace weir::net {

/// Where the stack puts complete Ethernet frames. The worker implements it with the port's transmit
/// burst.
class FrameSink {
 public:
  /// Takes ownership. Never fails: what the port cannot take is dropped and counted by the sink.
  virtual void transmit(rte_mbuf* frame) = 0;

 protected:
  ~FrameSink() = default;
};

/// Random numbers. The worker owns the generator; a simulator seeds it.
class RandomSource {
 public:
  virtual uint64_t next() = 0;

 protected:
  ~RandomSource() = default;
};

class AddressEvents;
class FlowSteering;

/// What a stack needs from its surroundings. Time is not here: the worker passes it to input,
/// run_timers and the rest through Stack::set_now, monotonic microseconds, never going back.
struct Environment {
  FrameSink& sink;
  RandomSource& random;
  Counters& counters;
  /// Buffers for frames that the stack makes: at least 256 bytes of data room behind
  /// RTE_PKTMBUF_HEADROOM.
  rte_mempool* header_pool;
  /// Buffers for frames with payload that is copied: at least 2,048 bytes of data room.
  rte_mempool* frame_pool;
  /// Told what becomes of addresses; nullptr for nobody.
  AddressEvents* address_events = nullptr;
  /// nullptr where all flows are this stack's.
  FlowSteering* steering = nullptr;
};

}  // namespace weir::net
