#pragma once
#include <wasmtime.h>

namespace weir::sandbox {

/// Defines the host functions that guests may import (docs/abi.md). They act on current_instance().
wasmtime_error_t* define_imports(wasmtime_linker_t* linker);

}  // namespace weir::sandbox
