//! The engine's configuration: the same in the process that compiles and in the one that runs, or the latter refuses
//! what the former has stored.

use crate::features::FEATURES;
use wasmparser::WasmFeatures;
use wasmtime::{Config, OptLevel, Strategy, WasmBacktraceDetails};

/// Address space reserved for one linear memory, bytes: every 32-bit index lies within.
pub const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;

/// Address space that faults behind that, bytes: every constant offset below it needs no bounds check.
pub const MEMORY_GUARD_BYTES: u64 = 32 << 20;

/// Stack that Wasm frames may use in one call, bytes. A thread that enters a guest needs more than this.
pub const MAX_WASM_STACK_BYTES: usize = 256 << 10;

/// The configuration of every weir engine; only the memory creator is left to the host.
pub fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(true)
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(FEATURES, true)
        .epoch_interruption(true)
        .signals_based_traps(true)
        .max_wasm_stack(MAX_WASM_STACK_BYTES)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .memory_reservation_for_growth(0)
        .memory_may_move(false)
        .guard_before_linear_memory(false)
        // A copy-on-write image would be mapped over the host's own mappings.
        .memory_init_cow(false)
        // Traps are reported with offsets that the offset map takes back to the source.
        .generate_address_map(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // Wasmtime unwinds by frame pointers. Registering unwind tables for the system's unwinder takes a process-wide
        // lock and a list that grows with every module.
        .native_unwind_info(false);
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::{Engine, Module};

    #[test]
    fn configuration_makes_an_engine() {
        Engine::new(&engine_config()).unwrap();
    }

    #[test]
    fn engine_itself_refuses_what_admission_refuses() {
        let engine = Engine::new(&engine_config()).unwrap();
        for text in [
            "(module (type (sub (func))))",
            "(module (func (param externref)))",
            "(module (table 1 externref))",
            "(module (func $f return_call $f))",
            "(module (memory 1) (memory 1))",
            "(module (memory i64 1))",
            "(module (memory 1 1 shared))",
            "(module (tag))",
        ] {
            assert!(Module::new(&engine, wat::parse_str(text).unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn header_has_the_same_sizes() {
        let header = include_str!("../include/weir_engine.h");
        for (name, value) in [
            ("WEIR_MEMORY_RESERVATION_BYTES", MEMORY_RESERVATION_BYTES),
            ("WEIR_MEMORY_GUARD_BYTES", MEMORY_GUARD_BYTES),
            ("WEIR_MAX_WASM_STACK_BYTES", MAX_WASM_STACK_BYTES as u64),
        ] {
            let define = format!("#define {name} UINT64_C({value})\n");
            assert!(header.contains(&define), "{define}");
        }
    }
}
