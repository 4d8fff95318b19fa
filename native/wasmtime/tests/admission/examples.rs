//! Modules as compilers write them.

use crate::engine::{Guest, engine};
use crate::testing::Parts;
use weir_engine::admit::admit;
use weir_engine::limits::AdmitLimits;

/// What asc writes for a small handler: an exported runtime, a table, strings as data, abort.
#[test]
fn module_in_the_shape_of_assemblyscript_is_admitted() {
    let module = Parts {
        imports: r#"(import "env" "abort" (func $~lib/builtins/abort (param i32 i32 i32 i32)))"#,
        memory: r#"(memory (export "memory") 321)"#,
        start: r#"(func $~start (export "weir_start"))"#,
        rest: r#"
            (table $0 2 2 funcref) (elem $0 (i32.const 1) $start:handler~anonymous|0)
            (data $0 (i32.const 20971532) "\1c") (data $0.1 (i32.const 20971544) "\02\00\00\00\06\00\00\00a\00b\00c\00")
            (global $~lib/memory/__heap_base i32 (i32.const 20971676))
            (func $start:handler~anonymous|0 (param i32)
              (memory.copy (local.get 0) (i32.const 0x240000) (i32.const 10))
              (if (i32.eqz (local.get 0))
                (then (call $~lib/builtins/abort (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2)) unreachable)))
            (@custom "sourceMappingURL" "\0dfile.wasm.map")"#,
        ..Parts::default()
    }
    .build();
    let admission = admit(&module, &AdmitLimits::default());
    assert_eq!(admission.report.errors, []);
    assert_eq!(admission.report.warnings, [""; 0]);
    assert_eq!(admission.report.imports, ["env.abort"]);
    assert_eq!(admission.report.bulk.copy, 1);
    assert_eq!(admission.report.source_mapping_url.as_deref(), Some("file.wasm.map"));
    wasmtime::Module::new(engine(), admission.module.unwrap()).unwrap();
}

#[test]
fn memory_has_its_final_size_from_the_start_and_does_not_grow() {
    let module = Parts {
        rest: r#"(func (export "grow") (param i32 i32 i32)
            (if (i32.ne (memory.size) (i32.const 512)) (then unreachable))
            (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)))"#,
        ..Parts::default()
    }
    .build();
    let limits = AdmitLimits {
        memory_pages: 512,
        ..AdmitLimits::default()
    };
    let mut guest = Guest::new(engine(), &admit(&module, &limits).module.unwrap());
    guest.call("grow", (0, 0, 0)).unwrap();
}

/// An epoch that passes during a long fill is noticed before the fill is done.
#[test]
fn long_fill_notices_an_epoch() {
    let module = Parts {
        rest: r#"(func (export "fill") (param i32 i32 i32)
            (memory.fill (local.get 0) (local.get 1) (local.get 2)))"#,
        ..Parts::default()
    }
    .build();
    let mut guest = Guest::new(engine(), &admit(&module, &AdmitLimits::default()).module.unwrap());
    let checks = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = checks.clone();
    guest.store.set_epoch_deadline(0);
    // The deadline has passed at every check: how many there are is how often the fill can be stopped.
    guest.store.epoch_deadline_callback(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(wasmtime::UpdateDeadline::Continue(0))
    });
    guest.call("fill", (0x1400000, 1, 16 << 20)).unwrap();
    assert!(checks.load(std::sync::atomic::Ordering::Relaxed) >= 256);
}

/// Admitting what was admitted changes nothing in what it does: the output keeps to the rules it was made by.
#[test]
fn admitted_module_is_a_module_like_any_other() {
    let module = Parts {
        rest: r#"(func (export "f") (param i32 i32 i32)
            (memory.copy (local.get 0) (local.get 1) (local.get 2)))"#,
        ..Parts::default()
    }
    .build();
    let once = admit(&module, &AdmitLimits::default());
    let twice = admit(once.module.as_ref().unwrap(), &AdmitLimits::default());
    assert_eq!(twice.report.errors, []);
    // The helper's own two instructions are guarded once more.
    assert_eq!(twice.report.bulk.copy, 2);
}
