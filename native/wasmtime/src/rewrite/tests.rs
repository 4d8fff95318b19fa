use super::*;
use crate::limits::AdmitLimits;
use crate::report::Report;
use crate::testing::{Parts, module_with};
use crate::verify::verify;

fn rewritten(module: &[u8], limits: AdmitLimits) -> Rewritten {
    let mut report = Report::default();
    let verified = verify(module, &limits.resolved(), &mut report);
    let verified = verified.unwrap_or_else(|| panic!("{:?}", report.errors));
    let names = FunctionNames::read(module, &mut Report::default());
    rewrite(module, &verified, &names).unwrap()
}

fn function_names(module: &[u8]) -> Vec<(u32, String)> {
    let names = FunctionNames::read(module, &mut Report::default());
    (0..100)
        .filter_map(|index| names.get(index).map(|name| (index, name.to_string())))
        .collect()
}

fn custom_sections(module: &[u8]) -> Vec<String> {
    parse(module)
        .filter_map(|payload| match payload.unwrap() {
            Payload::CustomSection(section) => Some(section.name().to_string()),
            _ => None,
        })
        .collect()
}

const ALL_BULK: &str = r#"
    (func $bulk
      (memory.copy (i32.const 0x1400000) (i32.const 0x1400000) (i32.const 1))
      (memory.copy (i32.const 0x1400000) (i32.const 0x1400000) (i32.const 2))
      (memory.fill (i32.const 0x1400000) (i32.const 0x1400000) (i32.const 3))
      (memory.init 1 (i32.const 0x1400000) (i32.const 0) (i32.const 1)))
    (data "a") (data "b")"#;

#[test]
fn one_helper_stands_for_all_uses() {
    let output = rewritten(&module_with(ALL_BULK), AdmitLimits::default());
    assert_eq!(
        function_names(&output.module)
            .into_iter()
            .map(|(index, name)| format!("{index} {name}"))
            .collect::<Vec<_>>(),
        [
            "0 weir_start",
            "1 weir_poll",
            "2 bulk",
            "3 weir.copy",
            "4 weir.fill",
            "5 weir.init.1"
        ]
    );
}

#[test]
fn module_without_bulk_instructions_gets_no_helper() {
    let output = rewritten(&module_with(""), AdmitLimits::default());
    let functions = parse(&output.module).find_map(|payload| match payload.unwrap() {
        Payload::FunctionSection(section) => Some(section.count()),
        _ => None,
    });
    assert_eq!(functions, Some(2));
}

#[test]
fn memory_and_table_get_fixed_sizes() {
    let output = rewritten(
        &module_with("(table 3 funcref)"),
        AdmitLimits {
            memory_pages: 400,
            ..AdmitLimits::default()
        },
    );
    let mut seen = 0;
    for payload in parse(&output.module) {
        match payload.unwrap() {
            Payload::MemorySection(section) => {
                let memory = section.into_iter().next().unwrap().unwrap();
                assert_eq!((memory.initial, memory.maximum), (400, Some(400)));
                seen += 1;
            }
            Payload::TableSection(section) => {
                let table = section.into_iter().next().unwrap().unwrap();
                assert_eq!((table.ty.initial, table.ty.maximum), (3, Some(3)));
                seen += 1;
            }
            _ => {}
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn only_names_and_producers_stay_of_custom_sections() {
    let module = module_with(
        "(@custom \"producers\" \"\\00\") (@custom \"sourceMappingURL\" \"\\01x\") (@custom \"debug\" \"abc\")",
    );
    let output = rewritten(&module, AdmitLimits::default());
    assert_eq!(custom_sections(&output.module), ["name", "producers"]);
}

#[test]
fn names_are_safe_in_the_rewritten_module() {
    let long = "n".repeat(500);
    let module = module_with(&format!("(func (@name \"a\\0ab\")) (func (@name \"{long}\"))"));
    let names = function_names(&rewritten(&module, AdmitLimits::default()).module);
    assert_eq!(names[2].1, "a\\u{a}b");
    assert_eq!(names[3].1.chars().count(), 129);
}

/// Calls of helpers take other lengths than what they replace: with 200 functions an index takes two bytes.
#[test]
fn offset_map_finds_every_instruction_again() {
    let many = "(func (nop))".repeat(200);
    let module = Parts {
        imports: r#"(import "env" "seed" (func (result f64)))"#,
        rest: &format!("{ALL_BULK} {many} {}", ALL_BULK.replace("$bulk", "$more")),
        ..Parts::default()
    }
    .build();
    let output = rewritten(&module, AdmitLimits::default());
    let bodies = |module| -> Vec<FunctionBody<'_>> {
        parse(module)
            .filter_map(|payload| match payload.unwrap() {
                Payload::CodeSectionEntry(body) => Some(body),
                _ => None,
            })
            .collect()
    };
    let mut instructions = 0;
    let (before, after) = (bodies(&module), bodies(&output.module));
    for (before, after) in before.iter().zip(&after) {
        let mut left = before.get_operators_reader().unwrap();
        let mut right = after.get_operators_reader().unwrap();
        while !left.eof() {
            let (_, original) = left.read_with_offset().unwrap();
            let (_, offset) = right.read_with_offset().unwrap();
            let found = crate::offset_map::original_offset(&output.offset_map, offset as u32);
            assert_eq!(found, original as u32);
            instructions += 1;
        }
    }
    assert!(instructions > 400);
    for helper in &after[before.len()..] {
        let inside = helper.range().start as u32 + 3;
        let found = crate::offset_map::original_offset(&output.offset_map, inside);
        assert_eq!(found, crate::offset_map::NO_ORIGINAL);
    }
    // One pair for each change of distance only: far fewer than instructions.
    assert!(output.offset_map.len() < 40, "{}", output.offset_map.len());
    assert!(output.offset_map.is_sorted_by_key(|pair| pair.rewritten));
}
