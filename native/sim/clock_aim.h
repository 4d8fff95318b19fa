#pragma once
#include "sim/host.h"
#include "sim/scenario.h"

namespace weir::sim {

/// Sets the hosts' clocks so that what a scenario wants to wrap does so soon after its start. RFC
/// 6528 section 3 adds a clock of 4 us to a hash of the addresses, and RFC 7323 section 5.4 one of
/// milliseconds: one handshake tells the rest, and the same seed has the same hash.
void aim_clocks(Scenario& scenario, HostPools& pools_a, HostPools& pools_b);

}  // namespace weir::sim
