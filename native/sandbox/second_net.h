#pragma once
#include "sandbox/guest_memory.h"

namespace weir::sandbox {

/// Installs the process's handler for faults of host code inside a guest's window (memory.copy in
/// the engine, say, had the rewriter missed one). Must run before the first engine is made: the
/// engine then asks it about faults that are not in guest code. Idempotent.
void install_second_net();

/// The memory of the guest that this thread is in, or nullptr.
void set_current_guest_memory(GuestMemory* memory);

}  // namespace weir::sandbox
