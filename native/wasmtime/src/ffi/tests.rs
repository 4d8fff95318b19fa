use super::*;
use crate::testing::module_with;
use std::ptr::{null, null_mut};

struct Owned(*mut weir_admission);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: weir_admit has given it out and nobody else frees it.
        weir_admission_delete(Some(unsafe { Box::from_raw(self.0) }));
    }
}

fn run(module: &[u8], limits: *const AdmitLimits) -> (c_int, Owned) {
    let mut out = null_mut();
    // SAFETY: the slice is valid, limits is null or valid, out is a place for a pointer.
    let code = unsafe { weir_admit(module.as_ptr(), module.len(), limits, &mut out) };
    (code, Owned(out))
}

fn report(admission: &weir_admission) -> serde_json::Value {
    let mut bytes = 0;
    let text = weir_admission_report(admission, &mut bytes);
    // SAFETY: the report is zero-terminated and lives as long as the admission.
    let text = unsafe { CStr::from_ptr(text) };
    assert_eq!(text.to_bytes().len(), bytes);
    serde_json::from_slice(text.to_bytes()).unwrap()
}

#[test]
fn admitted_module_comes_with_all_its_parts() {
    let module = module_with("(func (memory.fill (i32.const 0x1400000) (i32.const 0) (i32.const 1)) unreachable)");
    let (code, admission) = run(&module, null());
    assert_eq!(code, ADMITTED);
    // SAFETY: it lives until the end of this function.
    let admission = unsafe { &*admission.0 };
    let (mut bytes, mut pairs) = (0, 0);
    assert!(!weir_admission_module(admission, &mut bytes).is_null());
    assert!(bytes > module.len());
    let map = weir_admission_offset_map(admission, &mut pairs);
    assert!(pairs > 0);
    // SAFETY: map and pairs belong together.
    assert_eq!(unsafe { weir_original_offset(map, pairs, 0) }, u32::MAX);
    assert_eq!(report(admission)["admitted"], true);
}

#[test]
fn refused_module_comes_with_a_report() {
    for module in [&b""[..], b"\0asm\x01\0\0\0", b"nonsense"] {
        let (code, admission) = run(module, &AdmitLimits::default());
        assert_eq!(code, REFUSED);
        // SAFETY: it lives until the end of this turn.
        let admission = unsafe { &*admission.0 };
        let (mut bytes, mut pairs) = (7, 7);
        assert!(weir_admission_module(admission, &mut bytes).is_null());
        weir_admission_offset_map(admission, &mut pairs);
        assert_eq!((bytes, pairs), (0, 0));
        assert_eq!(report(admission)["admitted"], false);
    }
}

#[test]
fn null_is_no_module_and_no_map() {
    let mut out = null_mut();
    // SAFETY: null with 0 bytes is allowed.
    let code = unsafe { weir_admit(null(), 0, null(), &mut out) };
    drop(Owned(out));
    assert_eq!(code, REFUSED);
    // SAFETY: null with 0 pairs is allowed.
    assert_eq!(unsafe { weir_original_offset(null(), 0, 5) }, u32::MAX);
    weir_admission_delete(None);
}

#[test]
fn config_makes_an_engine_through_the_c_api() {
    let engine = wasmtime_c_api::wasm_engine_new_with_config(weir_config_new());
    drop(engine);
}

#[test]
fn version_names_both_parts() {
    // SAFETY: the version is static and zero-terminated.
    let version = unsafe { CStr::from_ptr(weir_engine_version()) };
    let expected = format!("48.0.8+weir.{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(version.to_str().unwrap(), expected);
}

#[test]
fn wat2wasm_is_exported() {
    let text = "(module)";
    let mut module = wasmtime_c_api::wasm_byte_vec_t::default();
    // SAFETY: text is valid UTF-8 of this length.
    let error = unsafe { wasmtime_c_api::wasmtime_wat2wasm(text.as_ptr().cast(), text.len(), &mut module) };
    assert!(error.is_none());
    assert_eq!(module.as_slice(), b"\0asm\x01\0\0\0");
}
