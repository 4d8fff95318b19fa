//! A trap in a rewritten module is found again in the original.

use crate::engine::{Guest, admitted, engine};
use crate::testing::module_with;
use wasmparser::{Operator, Parser, Payload};
use wasmtime::WasmBacktrace;
use weir_engine::offset_map::{NO_ORIGINAL, original_offset};

const BULK: &str = "(memory.copy (i32.const 0x1400000) (i32.const 0x1400000) (i32.const 2))
    (memory.fill (i32.const 0x1400000) (i32.const 0) (i32.const 3))
    (memory.init 0 (i32.const 0x1400000) (i32.const 0) (i32.const 1))";

/// Offsets of the instructions that `wanted` picks, in order.
fn offsets(module: &[u8], wanted: impl Fn(&Operator<'_>) -> bool) -> Vec<u32> {
    let mut offsets = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CodeSectionEntry(body) = payload.unwrap() else {
            continue;
        };
        for operator in body.get_operators_reader().unwrap().into_iter_with_offsets() {
            let (operator, offset) = operator.unwrap();
            if wanted(&operator) {
                offsets.push(offset as u32);
            }
        }
    }
    offsets
}

/// Original offsets of the frames of the trap that calling `trap` raises, the innermost first.
fn trap_offsets(module: &[u8]) -> Vec<u32> {
    let admission = admitted(module);
    let mut guest = Guest::new(engine(), &admission.module.unwrap());
    let error = guest.call("trap", (0, 0, 0)).unwrap_err();
    let backtrace = error.downcast_ref::<WasmBacktrace>().unwrap();
    backtrace
        .frames()
        .iter()
        .map(|frame| original_offset(&admission.offset_map, frame.module_offset().unwrap() as u32))
        .collect()
}

#[test]
fn trap_behind_rewritten_instructions_keeps_its_place() {
    let module = module_with(&format!(
        r#"(data "segment")
           (func $first {BULK})
           (func $inner {BULK} {BULK} (drop (i32.div_s (i32.const 1) (i32.const 0))) {BULK})
           (func (export "trap") (param i32 i32 i32) {BULK} (call $first) (call $inner) {BULK})"#
    ));
    let divisions = offsets(&module, |operator| matches!(operator, Operator::I32DivS));
    let calls = offsets(&module, |operator| matches!(operator, Operator::Call { .. }));
    assert_eq!(trap_offsets(&module), [divisions[0], calls[1]]);
}

#[test]
fn trap_in_a_helper_is_found_at_the_instruction_it_stands_for() {
    let module = module_with(&format!(
        r#"(data "segment")
           (func (export "trap") (param i32 i32 i32)
             {BULK} (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)))"#
    ));
    let fills = offsets(&module, |operator| matches!(operator, Operator::MemoryFill { .. }));
    assert_eq!(trap_offsets(&module), [NO_ORIGINAL, fills[1]]);
}

#[test]
fn backtrace_shows_names() {
    let module = module_with(
        r#"(func $user (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)))
           (func $caller (export "trap") (param i32 i32 i32) (call $user))"#,
    );
    let admission = admitted(&module);
    let mut guest = Guest::new(engine(), &admission.module.unwrap());
    let error = guest.call("trap", (0, 0, 0)).unwrap_err();
    let backtrace = error.downcast_ref::<WasmBacktrace>().unwrap();
    let names: Vec<_> = backtrace.frames().iter().map(|frame| frame.func_name()).collect();
    assert_eq!(names, [Some("weir.fill"), Some("user"), Some("caller")]);
}
