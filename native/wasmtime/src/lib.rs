//! libwasmtime's C API in one static library, and what that API lacks: a configuration with weir's exact feature set,
//! and the admission of untrusted modules (verify, rewrite, prove).
//!
//! `include/weir_engine.h` is the C side of [`ffi`]; everything else is usable from Rust, which is how it is tested.

pub use wasmtime_c_api::*;

pub mod abi;
pub mod admit;
pub mod config;
pub mod features;
pub mod ffi;
pub mod helpers;
pub mod limits;
pub mod offset_map;
pub mod prove;
pub mod report;
pub mod rewrite;
#[cfg(test)]
mod testing;
pub mod text;
pub mod verify;
mod work;
