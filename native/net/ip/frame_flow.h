#pragma once
#include <cstdint>

#include "net/address.h"

struct rte_mbuf;

namespace weir::net::ip {

/// To which of several stacks at one port a frame belongs.
struct FrameFlow {
  enum class Kind : uint8_t {
    /// To that of the flow between `source` and `destination`. An ICMP error is of the flow that it
    /// is about; what has no ports, or not where they can be seen, has those of 0.
    flow,
    /// To all of them: who has which link address.
    everyone,
    /// To the one that speaks for our addresses.
    speaker,
  };
  Kind kind;
  Endpoint source;
  Endpoint destination;
};

/// Looks into a frame without checking it, and without changing it: what is malformed is anybody's.
FrameFlow flow_of(const rte_mbuf* frame);

}  // namespace weir::net::ip
