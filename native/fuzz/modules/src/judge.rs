//! What must hold of a module and of what admission says of it.

use crate::abi::{self, MODULE_BASE, PAGE_BYTES};
use crate::admission::admit::{Admission, admit};
use crate::features::FEATURES;
use crate::limits::AdmitLimits;
use wasmparser::{ConstExpr, DataKind, ExternalKind, Operator, Parser, Payload, TypeRef, Validator};

/// A fault of ours shows as one of these rules.
const OWN_FAULTS: [&str; 2] = ["internal", "proof"];

/// Admits `module` and gives up if anything is wrong with how that went.
pub fn judge(module: &[u8]) {
    let limits = AdmitLimits::default();
    let admission = admit(module, &limits);
    expect_no_own_fault(&admission);
    let report: serde_json::Value = serde_json::from_str(&admission.report.json()).expect("the report is no JSON");
    assert!(report.is_object());
    let Some(rewritten) = &admission.module else {
        assert!(
            !admission.report.errors.is_empty(),
            "a module was refused without a reason"
        );
        return;
    };
    assert!(admission.report.errors.is_empty(), "a module with errors was admitted");
    Validator::new_with_features(FEATURES)
        .validate_all(module)
        .expect("a module was admitted that is not valid");
    Validator::new_with_features(FEATURES)
        .validate_all(rewritten)
        .expect("a valid module became one that is not");
    let before = count_functions(module);
    keeps_to_the_rules(rewritten, before, limits.resolved().memory_pages);
    for pair in admission.offset_map.windows(2) {
        assert!(pair[0].rewritten <= pair[1].rewritten, "the offset map is not in order");
    }
    // What admission writes keeps to the rules that it enforces, but for bounds that helpers may exceed.
    expect_no_own_fault(&admit(rewritten, &limits));
}

fn expect_no_own_fault(admission: &Admission) {
    for error in &admission.report.errors {
        assert!(!OWN_FAULTS.contains(&error.rule), "{}: {}", error.rule, error.message);
    }
}

fn count_functions(module: &[u8]) -> usize {
    Parser::new(0)
        .parse_all(module)
        .filter(|payload| matches!(payload, Ok(Payload::CodeSectionEntry(_))))
        .count()
}

/// The sandbox's rules, read from the module alone.
fn keeps_to_the_rules(module: &[u8], own_functions: usize, pages: u32) {
    let mut function = 0;
    let mut memories = 0;
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.expect("validated before") {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.unwrap();
                    assert!(
                        matches!(import.ty, TypeRef::Func(_)),
                        "something else than a function is imported"
                    );
                    assert!(
                        abi::IMPORTS
                            .iter()
                            .any(|known| known.module == import.module && known.name == import.name),
                        "{}.{} is imported",
                        import.module,
                        import.name
                    );
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory.unwrap();
                    memories += 1;
                    let pages = u64::from(pages);
                    assert!(
                        memory.initial == pages && memory.maximum == Some(pages),
                        "memory may change its size"
                    );
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    assert!(table.unwrap().ty.maximum.is_some(), "a table has no bound");
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.unwrap();
                    exports.push((export.name.to_string(), export.kind));
                }
            }
            Payload::StartSection { .. } => panic!("a start function runs when nobody watches"),
            Payload::DataSection(section) => {
                for segment in section {
                    let segment = segment.unwrap();
                    if let DataKind::Active { offset_expr, .. } = segment.kind {
                        let start = evaluate(&offset_expr);
                        let end = u64::from(start) + segment.data.len() as u64;
                        assert!(
                            start >= MODULE_BASE && end <= u64::from(pages) * PAGE_BYTES,
                            "data lies outside the module's own part of memory"
                        );
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader().unwrap() {
                    let is_bulk = matches!(
                        operator.unwrap(),
                        Operator::MemoryCopy { .. } | Operator::MemoryFill { .. } | Operator::MemoryInit { .. }
                    );
                    assert!(
                        !is_bulk || function >= own_functions,
                        "a bulk instruction stands outside the helpers"
                    );
                }
                function += 1;
            }
            _ => {}
        }
    }
    assert_eq!(memories, 1, "there is not one memory");
    for name in ["weir_start", "weir_poll"] {
        assert!(
            exports.contains(&(name.into(), ExternalKind::Func)),
            "{name} is missing"
        );
    }
    assert!(
        exports.contains(&(abi::MEMORY_EXPORT.into(), ExternalKind::Memory)),
        "the memory is missing"
    );
    assert!(
        exports.contains(&(abi::ABI_EXPORT.into(), ExternalKind::Global)),
        "the version is missing"
    );
}

/// An extended constant expression.
fn evaluate(expression: &ConstExpr<'_>) -> u32 {
    let mut stack: Vec<u32> = Vec::new();
    for operator in expression.get_operators_reader() {
        let mut binary = |result: fn(u32, u32) -> u32| {
            let (right, left) = (stack.pop().unwrap(), stack.pop().unwrap());
            stack.push(result(left, right));
        };
        match operator.unwrap() {
            Operator::I32Const { value } => stack.push(value as u32),
            Operator::I32Add => binary(u32::wrapping_add),
            Operator::I32Sub => binary(u32::wrapping_sub),
            Operator::I32Mul => binary(u32::wrapping_mul),
            Operator::End => break,
            other => panic!("data lies where {other:?} says"),
        }
    }
    assert_eq!(stack.len(), 1);
    stack[0]
}
