//! The C side, as include/weir_engine.h documents it.

#![expect(non_camel_case_types, reason = "these are the names that C sees")]

use crate::admit::admit;
use crate::config::engine_config;
use crate::limits::AdmitLimits;
use crate::offset_map::{OffsetPair, original_offset};
use std::ffi::{CStr, CString, c_char, c_int};
use wasmtime::Config;
use wasmtime_c_api::wasm_config_t;

const ADMITTED: c_int = 0;
const REFUSED: c_int = 1;

/// What one call of [`weir_admit`] found out.
pub struct weir_admission {
    module: Option<Vec<u8>>,
    offset_map: Vec<OffsetPair>,
    report: CString,
}

/// wasm_config_t as the C API lays it out: it keeps its one field to itself.
#[repr(C)]
struct ConfigLayout {
    config: Config,
}

const _: () = assert!(
    size_of::<wasm_config_t>() == size_of::<ConfigLayout>()
        && align_of::<wasm_config_t>() == align_of::<ConfigLayout>()
);

/// A configuration with weir's exact feature set; wasm_engine_new_with_config or wasm_config_delete takes it.
#[unsafe(no_mangle)]
pub extern "C" fn weir_config_new() -> Box<wasm_config_t> {
    let layout = Box::into_raw(Box::new(ConfigLayout {
        config: engine_config(),
    }));
    // SAFETY: both types are repr(C) with one field of type Config, so they have the same size, alignment and content.
    unsafe { Box::from_raw(layout.cast::<wasm_config_t>()) }
}

/// Admits a module: 0 if it may run, 1 if it is refused; `out` receives what there is to say in both cases.
///
/// # Safety
///
/// `module` points to `module_bytes` readable bytes that nobody writes meanwhile (or is null with 0 of them), `limits`
/// is null or points to limits, `out` points to a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_admit(
    module: *const u8,
    module_bytes: usize,
    limits: *const AdmitLimits,
    out: *mut *mut weir_admission,
) -> c_int {
    let bytes = if module.is_null() || module_bytes == 0 {
        &[]
    } else {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(module, module_bytes) }
    };
    // SAFETY: the caller's promise.
    let limits = unsafe { limits.as_ref() }.copied().unwrap_or_default();
    let admission = admit(bytes, &limits);
    let code = if admission.is_admitted() { ADMITTED } else { REFUSED };
    let boxed = Box::new(weir_admission {
        module: admission.module,
        offset_map: admission.offset_map,
        // JSON escapes control characters, so there is no zero byte within.
        report: CString::new(admission.report.json()).unwrap_or_default(),
    });
    // SAFETY: the caller's promise.
    unsafe { out.write(Box::into_raw(boxed)) };
    code
}

/// The rewritten module; null if it was refused.
#[unsafe(no_mangle)]
pub extern "C" fn weir_admission_module(admission: &weir_admission, bytes: &mut usize) -> *const u8 {
    let module = admission.module.as_deref();
    *bytes = module.map_or(0, <[u8]>::len);
    module.map_or(std::ptr::null(), <[u8]>::as_ptr)
}

/// The report: JSON in UTF-8, zero-terminated; `bytes` does not count the zero.
#[unsafe(no_mangle)]
pub extern "C" fn weir_admission_report(admission: &weir_admission, bytes: &mut usize) -> *const c_char {
    *bytes = admission.report.as_bytes().len();
    admission.report.as_ptr()
}

/// From offsets in the rewritten module to offsets in the original, in ascending order.
#[unsafe(no_mangle)]
pub extern "C" fn weir_admission_offset_map(admission: &weir_admission, pairs: &mut usize) -> *const OffsetPair {
    *pairs = admission.offset_map.len();
    admission.offset_map.as_ptr()
}

/// Frees an admission and everything it gave out.
#[unsafe(no_mangle)]
pub extern "C" fn weir_admission_delete(_admission: Option<Box<weir_admission>>) {}

/// The original offset of the instruction at `rewritten`, or WEIR_NO_ORIGINAL.
///
/// # Safety
///
/// `map` points to `pairs` pairs in ascending order (or is null with 0 of them).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_original_offset(map: *const OffsetPair, pairs: usize, rewritten: u32) -> u32 {
    let map = if map.is_null() || pairs == 0 {
        &[]
    } else {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(map, pairs) }
    };
    original_offset(map, rewritten)
}

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!("48.0.8+weir.", env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("the version holds a zero byte"),
    };

/// Wasmtime's version and this crate's: what a store of compiled modules must be keyed by.
#[unsafe(no_mangle)]
pub extern "C" fn weir_engine_version() -> *const c_char {
    VERSION.as_ptr()
}

#[cfg(test)]
mod tests;
