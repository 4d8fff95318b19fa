use super::*;
use crate::testing::{Parts, module_with};

fn report_of(module: &[u8], limits: AdmitLimits) -> Report {
    let mut report = Report::default();
    let verified = verify(module, &limits.resolved(), &mut report);
    assert_eq!(verified.is_some(), report.is_clean());
    report
}

fn rules_of(module: &[u8]) -> Vec<&'static str> {
    rules_under(module, AdmitLimits::default())
}

fn rules_under(module: &[u8], limits: AdmitLimits) -> Vec<&'static str> {
    let report = report_of(module, limits);
    for error in &report.errors {
        assert!(!error.message.is_empty() && !error.mend.is_empty(), "{error:?}");
    }
    report.errors.iter().map(|error| error.rule).collect()
}

/// A module of a feature's own, with everything that the contract asks for beside it.
fn rules_with(rest: &str) -> Vec<&'static str> {
    rules_of(&module_with(rest))
}

#[test]
fn plain_module_passes() {
    let report = report_of(&module_with(""), AdmitLimits::default());
    assert_eq!(report.errors, []);
    assert_eq!(report.abi, Some(1));
    assert_eq!(report.memory_pages, 1024);
    assert_eq!(report.functions, 2);
    assert_eq!(report.exports, ["memory", "weir_abi", "weir_start", "weir_poll"]);
}

#[test]
fn every_import_of_the_contract_passes() {
    let module = Parts {
        imports: r#"
            (import "weir" "log" (func (param i32 i32 i32)))
            (import "env" "abort" (func (param i32 i32 i32 i32)))
            (import "env" "trace" (func (param i32 i32 f64 f64 f64 f64 f64)))
            (import "env" "seed" (func (result f64)))
            (import "env" "console.log" (func (param i32)))
            (import "env" "console.debug" (func (param i32)))
            (import "env" "console.info" (func (param i32)))
            (import "env" "console.warn" (func (param i32)))
            (import "env" "console.error" (func (param i32)))
            (import "env" "Date.now" (func (result f64)))
            (import "env" "performance.now" (func (result f64)))"#,
        ..Parts::default()
    }
    .build();
    let report = report_of(&module, AdmitLimits::default());
    assert_eq!(report.errors, []);
    assert_eq!(report.imports.len(), 11);
    assert_eq!(report.imports[0], "weir.log");
}

#[test]
fn features_that_are_on_pass() {
    let rules = rules_with(
        r#"(global $g (export "g") (mut i32) (i32.const 0))
           (table 2 funcref)
           (elem (i32.const 0) $weir_start)
           (data (i32.add (i32.const 0x1400000) (i32.const 16)) "x")
           (func (param f64) (result i32 i64)
             (i32.extend8_s (i32.trunc_sat_f64_s (local.get 0)))
             (i64.extend32_s (i64.const 1)))
           (func (result v128) (i8x16.add (v128.const i64x2 1 2) (v128.const i64x2 3 4)))
           (func (memory.fill (i32.const 0x1400000) (i32.const 0) (i32.const 1)))
           (func (call_indirect (i32.const 0)))"#,
    );
    assert_eq!(rules, [""; 0]);
}

#[test]
fn refused_features_are_named() {
    let mut misnamed = Vec::new();
    for (rule, rest) in [
        // call_indirect with subtyping is what aborts an engine without a collector.
        (
            "feature-gc",
            "(type $base (sub (func))) (type $derived (sub $base (func)))
             (table 1 funcref) (elem (i32.const 0) $f) (func $f (type $derived))
             (func (call_indirect (type $base) (i32.const 0)))",
        ),
        ("feature-gc", "(type (struct (field i32)))"),
        ("feature-gc", "(rec (type (func)) (type (func)))"),
        ("feature-reference-types", "(func (param anyref))"),
        ("feature-gc", "(func (drop (ref.i31 (i32.const 1))))"),
        (
            "feature-reference-types",
            "(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))",
        ),
        ("feature-reference-types", "(table 1 externref)"),
        ("feature-reference-types", "(func (param externref))"),
        ("feature-reference-types", "(func (param funcref))"),
        ("feature-reference-types", "(table 1 funcref) (table 1 funcref)"),
        (
            "feature-reference-types",
            "(table 1 funcref) (func (drop (table.get (i32.const 0))))",
        ),
        (
            "feature-reference-types",
            "(table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))",
        ),
        ("feature-reference-types", "(func (drop (ref.null func)))"),
        ("feature-tail-call", "(func $f (return_call $f))"),
        (
            "feature-tail-call",
            "(table 1 funcref) (func (return_call_indirect (i32.const 0)))",
        ),
        ("feature-multi-memory", "(memory 1)"),
        (
            "feature-relaxed-simd",
            "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
        ),
        (
            "feature-threads",
            "(func (drop (i32.atomic.load (i32.const 0x1400000))))",
        ),
        ("feature-threads", "(func (atomic.fence))"),
        ("feature-exceptions", "(tag $t)"),
        (
            "feature-exceptions",
            "(tag $t (param i32)) (func (throw $t (i32.const 1)))",
        ),
        ("feature-exceptions", "(func (block $b (try_table (catch_all $b))))"),
        ("feature-legacy-exceptions", "(func try catch_all end)"),
        (
            "feature-wide-arithmetic",
            "(func (param i64) (result i64 i64)
               (i64.mul_wide_u (local.get 0) (local.get 0)))",
        ),
        (
            "feature-stack-switching",
            "(type $f (func)) (type $c (cont $f)) (func (param (ref $c)) (resume $c (local.get 0)))",
        ),
    ] {
        let rules = rules_with(rest);
        if !rules.contains(&rule) {
            misnamed.push(format!("{rest}: {rules:?} instead of {rule}"));
        }
    }
    assert!(misnamed.is_empty(), "{misnamed:#?}");
}

#[test]
fn refused_memories_are_named() {
    for (rule, memory) in [
        ("feature-memory64", r#"(memory (export "memory") i64 320)"#),
        ("feature-threads", r#"(memory (export "memory") 320 320 shared)"#),
        (
            "feature-custom-page-sizes",
            r#"(memory (export "memory") 20971521 (pagesize 1))"#,
        ),
    ] {
        let module = Parts {
            memory,
            ..Parts::default()
        }
        .build();
        let rules = rules_of(&module);
        assert!(rules.contains(&rule), "{memory}: {rules:?}");
    }
}

#[test]
fn preamble_is_told_apart() {
    assert_eq!(rules_of(b""), ["not-wasm"]);
    assert_eq!(rules_of(b"\0as"), ["not-wasm"]);
    assert_eq!(rules_of(b"(module)"), ["not-wasm"]);
    assert_eq!(rules_of(b"\x7fELF\x02\x01\x01\0"), ["not-wasm"]);
    assert_eq!(rules_of(b"\0asm"), ["wasm-version"]);
    assert_eq!(rules_of(b"\0asm\x02\0\0\0"), ["wasm-version"]);
    assert_eq!(rules_of(b"\0asm\x0d\0\x01\0"), ["component"]);
    assert_eq!(rules_of(&wat::parse_str("(component)").unwrap()), ["component"]);
}

#[test]
fn every_missing_export_is_told_at_once() {
    let report = report_of(b"\0asm\x01\0\0\0", AdmitLimits::default());
    let rules: Vec<&str> = report.errors.iter().map(|error| error.rule).collect();
    assert_eq!(rules, ["export-missing"; 4]);
    let messages: String = report.errors.iter().map(|error| error.message.clone()).collect();
    for name in ["memory", "weir_abi", "weir_start", "weir_poll"] {
        assert!(messages.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn exports_have_their_types() {
    for parts in [
        Parts {
            abi: r#"(global (export "weir_abi") (mut i32) (i32.const 1))"#,
            ..Parts::default()
        },
        Parts {
            abi: r#"(global (export "weir_abi") i64 (i64.const 1))"#,
            ..Parts::default()
        },
        Parts {
            abi: r#"(func (export "weir_abi"))"#,
            ..Parts::default()
        },
        Parts {
            start: r#"(func (export "weir_start") (param i32))"#,
            ..Parts::default()
        },
        Parts {
            start: r#"(global (export "weir_start") i32 (i32.const 1))"#,
            ..Parts::default()
        },
        Parts {
            poll: r#"(func (export "weir_poll") (param i32) (result i32) i32.const 0)"#,
            ..Parts::default()
        },
        Parts {
            poll: r#"(func (export "weir_poll") (param i64) (result i64) i64.const 0)"#,
            ..Parts::default()
        },
        Parts {
            memory: r#"(memory 320) (global (export "memory") i32 (i32.const 1))"#,
            ..Parts::default()
        },
    ] {
        assert_eq!(rules_of(&parts.build()), ["export-type"]);
    }
}

#[test]
fn contract_version_must_match() {
    let with = |abi| {
        Parts {
            abi,
            ..Parts::default()
        }
        .build()
    };
    let report = report_of(
        &with(r#"(global (export "weir_abi") i32 (i32.const 2))"#),
        AdmitLimits::default(),
    );
    assert_eq!(report.errors[0].rule, "abi-version");
    assert_eq!(report.abi, Some(2));
    let sum = with(r#"(global (export "weir_abi") i32 (i32.sub (i32.const 3) (i32.const 2)))"#);
    assert_eq!(rules_of(&sum), [""; 0]);
}

#[test]
fn start_section_is_refused_with_its_mend() {
    let report = report_of(&module_with("(start $weir_start)"), AdmitLimits::default());
    assert_eq!(report.errors.len(), 1);
    let error = &report.errors[0];
    assert_eq!((error.rule, error.section), ("start-section", "start"));
    assert_eq!(error.function_name.as_deref(), Some("weir_start"));
    assert!(error.mend.contains("--exportStart weir_start"));
}

#[test]
fn imports_are_on_the_list() {
    let report_of_import = |imports| {
        let module = Parts {
            imports,
            ..Parts::default()
        }
        .build();
        report_of(&module, AdmitLimits::default())
    };
    let report = report_of_import(r#"(import "env" "exec" (func (param i32)))"#);
    assert_eq!(report.errors.len(), 1);
    assert_eq!(report.errors[0].rule, "import-unknown");
    assert!(report.errors[0].message.contains("`env.exec`"));
    assert!(report.errors[0].mend.contains("weir.log, env.abort"));
    let report = report_of_import(r#"(import "wasi_snapshot_preview1" "fd_write" (func))"#);
    assert!(report.errors[0].mend.contains("WASI"));
    let report = report_of_import(r#"(import "env" "abort" (func (param i32)))"#);
    assert_eq!(report.errors[0].rule, "import-type");
    assert!(report.errors[0].mend.contains("(i32, i32, i32, i32) -> ()"));
    for import in [
        r#"(import "env" "table" (table 1 funcref))"#,
        r#"(import "env" "global" (global i32))"#,
    ] {
        assert_eq!(report_of_import(import).errors[0].rule, "import-kind", "{import}");
    }
    let imported_memory = Parts {
        imports: r#"(import "env" "memory" (memory 320))"#,
        memory: "",
        ..Parts::default()
    }
    .build();
    assert_eq!(rules_of(&imported_memory), ["import-kind", "export-missing"]);
}

#[test]
fn memory_takes_the_size_that_host_and_module_allow() {
    let pages_of = |memory, pages| {
        let module = Parts {
            memory,
            ..Parts::default()
        }
        .build();
        let limits = AdmitLimits {
            memory_pages: pages,
            ..AdmitLimits::default()
        };
        let report = report_of(&module, limits);
        let rule = report.errors.first().map(|error| error.rule);
        (rule, report.memory_pages, report.warnings.len())
    };
    let open = r#"(memory (export "memory") 321)"#;
    let bounded = r#"(memory (export "memory") 321 400)"#;
    assert_eq!(pages_of(open, 512), (None, 512, 0));
    assert_eq!(pages_of(bounded, 512), (None, 400, 1));
    assert_eq!(pages_of(bounded, 350), (None, 350, 0));
    assert_eq!(pages_of(bounded, 321), (None, 321, 0));
    assert_eq!(pages_of(open, 320).0, Some("memory-limit"));
    assert_eq!(pages_of(open, u32::MAX), (None, 65_536, 0));
    // What is left beyond the host's windows must be something.
    assert_eq!(pages_of(r#"(memory (export "memory") 1)"#, 320).0, Some("memory-limit"));
    assert_eq!(
        pages_of(r#"(memory (export "memory") 1 320)"#, 512).0,
        Some("memory-limit")
    );
    assert_eq!(pages_of(r#"(memory (export "memory") 1)"#, 321), (None, 321, 0));
}

#[test]
fn data_lies_in_the_modules_own_part() {
    for (rule, data) in [
        (Some("data-below-base"), r#"(data (i32.const 0) "x")"#),
        (Some("data-below-base"), r#"(data (i32.const 0) "")"#),
        (Some("data-below-base"), r#"(data (i32.const 0x13fffff) "xy")"#),
        (
            Some("data-below-base"),
            r#"(data (i32.sub (i32.const 0x1400000) (i32.const 1)) "x")"#,
        ),
        (None, r#"(data (i32.const 0x1400000) "x")"#),
        (None, r#"(data (i32.const 0x3ffffff) "x")"#),
        (Some("data-beyond-memory"), r#"(data (i32.const 0x3ffffff) "xy")"#),
        (Some("data-beyond-memory"), r#"(data (i32.const 0xffffffff) "xy")"#),
        (None, r#"(data "passive")"#),
    ] {
        let rules = rules_with(data);
        assert_eq!(rules.first().copied(), rule, "{data}");
    }
    let report = report_of(
        &module_with(r#"(data (i32.const 0x1400010) "abc") (data (i32.const 0x1400000) "x")"#),
        AdmitLimits::default(),
    );
    assert_eq!(report.data_end, 0x1400013);
}

#[test]
fn invalid_modules_are_refused() {
    let mut truncated = module_with("");
    truncated.pop();
    assert!(rules_of(&truncated).contains(&"invalid"));
    assert_eq!(rules_with("(func (result i32))"), ["invalid"]);
    // memory.init without a data count section: the validator knows the count by then, or never.
    let mut garbage = module_with("");
    garbage.extend([0x77, 1, 0]);
    assert_eq!(rules_of(&garbage), ["invalid"]);
}

#[test]
fn all_bad_functions_are_told_with_their_names() {
    let report = report_of(
        &module_with("(func $one (result i32)) (func $two (drop)) (func $three (return_call $three))"),
        AdmitLimits::default(),
    );
    let told: Vec<_> = report
        .errors
        .iter()
        .map(|error| (error.rule, error.function, error.function_name.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("invalid", Some(2), Some("one")),
            ("invalid", Some(3), Some("two")),
            ("feature-tail-call", Some(4), Some("three")),
        ]
    );
    assert!(report.errors.iter().all(|error| error.offset.is_some()));
}

#[test]
fn rules_beside_an_invalid_section_are_told_too() {
    let module = Parts {
        imports: r#"(type (struct)) (import "env" "exec" (func))"#,
        rest: "(start $weir_start)",
        ..Parts::default()
    }
    .build();
    assert_eq!(rules_of(&module), ["feature-gc", "import-unknown", "start-section"]);
}

#[test]
fn names_cannot_smuggle_control_characters() {
    let module = Parts {
        imports: r#"(import "env" "a\1b[2Jb\n" (func))"#,
        rest: "(export \"x\\07\" (func $weir_start)) (func $bad (@name \"evil\\1b\\0a\") (drop))",
        ..Parts::default()
    }
    .build();
    let report = report_of(&module, AdmitLimits::default());
    assert_eq!(report.errors.len(), 2);
    assert_eq!(report.errors[1].function_name.as_deref(), Some("evil\\u{1b}\\u{a}"));
    let json = report.json();
    assert!(!json.chars().any(char::is_control), "{json}");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    fn check(value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) => assert!(!text.chars().any(char::is_control), "{text:?}"),
            serde_json::Value::Array(items) => items.iter().for_each(check),
            serde_json::Value::Object(fields) => fields.values().for_each(check),
            _ => {}
        }
    }
    check(&value);
}

#[test]
fn source_map_is_noted_and_other_custom_sections_are_told() {
    let module = module_with("(@custom \"sourceMappingURL\" \"\\0dfile.wasm.map\") (@custom \"debug\" \"abc\")");
    let report = report_of(&module, AdmitLimits::default());
    assert_eq!(report.errors, []);
    assert_eq!(report.source_mapping_url.as_deref(), Some("file.wasm.map"));
    assert_eq!(report.warnings, ["custom section `debug` (3 bytes) is left out"]);
}

#[test]
fn more_than_twenty_errors_are_counted() {
    let imports: String = (0..30)
        .map(|index| format!(r#"(import "env" "no{index}" (func))"#))
        .collect();
    let module = Parts {
        imports: &imports,
        ..Parts::default()
    }
    .build();
    let report = report_of(&module, AdmitLimits::default());
    assert_eq!((report.errors.len(), report.errors_left_out), (20, 10));
}

#[test]
fn every_limit_is_kept() {
    let limits = AdmitLimits {
        max_module_bytes: 4000,
        max_custom_bytes: 300,
        max_types: 6,
        max_params: 4,
        max_results: 2,
        max_imports: 1,
        max_exports: 5,
        max_functions: 4,
        max_globals: 2,
        max_table_elements: 10,
        max_element_segments: 1,
        max_data_segments: 2,
        max_passive_bytes: 8,
        max_init_segments: 1,
        max_body_bytes: 1000,
        max_locals: 12,
        max_nesting: 5,
        max_blocks: 20,
        max_branch_targets: 3,
        max_function_work: 500,
        max_module_work: 700,
        ..AdmitLimits::default()
    };
    let repeat = |text: &str, count: usize| text.repeat(count);
    let import = r#"(import "env" "seed" (func (result f64)))"#;
    let nested = |depth: usize| format!("(func {}{})", repeat("(block ", depth), repeat(")", depth));
    let br_table = |targets: usize| format!("(func (block (br_table {} (i32.const 0))))", repeat("0 ", targets + 1));
    let init = |count: usize| -> String {
        let data = repeat("(data \"x\")", 2);
        let call = |segment| format!("(memory.init {segment} (i32.const 0x1400000) (i32.const 0) (i32.const 1))");
        format!("{data} (func {})", (0..count).map(call).collect::<String>())
    };
    // Just within each limit, and one beyond.
    for (rule, within, beyond) in [
        (
            "limit-module-bytes",
            String::new(),
            format!("(@custom \"x\" \"{}\")", repeat("x", 4000)),
        ),
        (
            "limit-custom-bytes",
            format!("(@custom \"x\" \"{}\")", repeat("x", 100)),
            format!("(@custom \"x\" \"{}\")", repeat("x", 301)),
        ),
        (
            "limit-types",
            repeat("(type (func (param f32)))", 4),
            repeat("(type (func (param f32)))", 5),
        ),
        (
            "limit-params",
            "(type (func (param i32 i32 i32 i32)))".into(),
            "(type (func (param i32 i32 i32 i32 i32)))".into(),
        ),
        (
            "limit-results",
            "(type (func (result i32 i32)))".into(),
            "(type (func (result i32 i32 i32)))".into(),
        ),
        (
            "limit-exports",
            "(export \"a\" (func $weir_start))".into(),
            "(export \"a\" (func $weir_start)) (export \"b\" (func $weir_start))".into(),
        ),
        ("limit-functions", repeat("(func)", 2), repeat("(func)", 3)),
        (
            "limit-globals",
            "(global i32 (i32.const 0))".into(),
            repeat("(global i32 (i32.const 0))", 2),
        ),
        (
            "limit-table-elements",
            "(table 10 funcref)".into(),
            "(table 11 funcref)".into(),
        ),
        (
            "limit-table-elements",
            "(table 1 10 funcref)".into(),
            "(table 1 11 funcref)".into(),
        ),
        (
            "limit-element-segments",
            "(table 2 funcref) (elem (i32.const 0) $weir_start)".into(),
            format!("(table 2 funcref) {}", repeat("(elem (i32.const 0) $weir_start)", 2)),
        ),
        (
            "limit-data-segments",
            repeat("(data (i32.const 0x1400000) \"x\")", 2),
            repeat("(data (i32.const 0x1400000) \"x\")", 3),
        ),
        (
            "limit-passive-bytes",
            "(data \"12345678\")".into(),
            "(data \"123456789\")".into(),
        ),
        ("limit-init-segments", init(1), init(2)),
        (
            "limit-body-bytes",
            format!("(func {})", repeat("(nop)", 400)),
            format!("(func {})", repeat("(nop)", 1000)),
        ),
        (
            "limit-locals",
            format!("(func (param i32 i32 i32 i32) (local {}))", repeat("i32 ", 8)),
            format!("(func (param i32 i32 i32 i32) (local {}))", repeat("i32 ", 9)),
        ),
        ("limit-nesting", nested(4), nested(5)),
        (
            "limit-blocks",
            format!("(func {})", repeat("(block)", 9)),
            format!("(func {})", repeat("(block)", 10)),
        ),
        ("limit-branch-targets", br_table(3), br_table(4)),
        (
            "limit-function-work",
            format!("(func (local {}) {})", repeat("i32 ", 12), repeat("(block)", 9)),
            format!(
                "(func (local {}) {} {})",
                repeat("i32 ", 12),
                repeat("(block)", 9),
                repeat("(nop)", 300)
            ),
        ),
        (
            "limit-module-work",
            format!("(func {})", repeat("(nop)", 450)),
            repeat(&format!("(func {})", repeat("(nop)", 450)), 2),
        ),
    ] {
        assert_eq!(rules_under(&module_with(&within), limits), [""; 0], "{rule} within");
        assert_eq!(rules_under(&module_with(&beyond), limits), [rule], "{rule} beyond");
    }
    let with_imports = |imports: &str| {
        Parts {
            imports,
            ..Parts::default()
        }
        .build()
    };
    assert_eq!(rules_under(&with_imports(import), limits), [""; 0]);
    assert_eq!(
        rules_under(&with_imports(&repeat(import, 2)), limits),
        ["limit-imports"]
    );
}

/// 2 KB that the compiler would need seconds for.
#[test]
fn locals_assigned_in_nested_loops_are_bounded() {
    let nest = |locals: usize, depth: usize| {
        let assign = |local: usize| format!("(local.set {local} (i32.add (local.get {local}) (local.get 0)))");
        format!(
            "(func (param i32) (local {}) {} {} {})",
            "i32 ".repeat(locals),
            "(loop ".repeat(depth),
            (1..=locals).map(assign).collect::<String>(),
            "(br_if 0 (local.get 0)))".repeat(depth)
        )
    };
    assert_eq!(rules_with(&nest(100, 200)), ["limit-function-work"]);
    assert_eq!(rules_with(&nest(100, 10)), [""; 0]);
    assert_eq!(rules_with(&nest(10, 100)), [""; 0]);
    // The same locals and loops, one after the other, cost little.
    let in_a_row = "(loop (local.set 1 (i32.const 1)) (br_if 0 (local.get 0)))".repeat(200);
    let in_a_row = format!("(func (param i32) (local {}) {in_a_row})", "i32 ".repeat(100));
    assert_eq!(rules_with(&in_a_row), [""; 0]);
}

/// What costs the compiler the square of its number.
#[test]
fn loops_and_wide_blocks_in_a_row_are_bounded() {
    let row = |item: &str, count: usize| {
        format!(
            "(type $wide (func (param {w}) (result {w}))) (func (param i32) {} {} unreachable)",
            "(local.get 0)".repeat(16),
            item.repeat(count),
            w = "i32 ".repeat(16)
        )
    };
    let loops = "(loop (br_if 0 (local.get 0)))";
    assert_eq!(rules_with(&row(loops, 1_000)), [""; 0]);
    assert_eq!(rules_with(&row(loops, 2_500)), ["limit-function-work"]);
    let blocks = "(block (br_if 0 (local.get 0)))";
    assert_eq!(rules_with(&row(blocks, 4_500)), [""; 0]);
    let wide = "(block (type $wide) (br_if 0 (local.get 0)))";
    assert_eq!(rules_with(&row(wide, 1_000)), [""; 0]);
    assert_eq!(rules_with(&row(wide, 4_500)), ["limit-function-work"]);
}

#[test]
fn constant_addresses_are_evaluated_as_the_engine_does() {
    let report = report_of(
        &module_with(
            r#"(data (i32.add (i32.mul (i32.const 0x100000) (i32.const 20)) (i32.sub (i32.const 3) (i32.const 1))) "abc")"#,
        ),
        AdmitLimits::default(),
    );
    assert_eq!(report.errors, []);
    assert_eq!(report.data_end, 0x1400005);
    assert_eq!(
        rules_with(r#"(global $base i32 (i32.const 0x1400000)) (data (global.get $base) "x")"#),
        ["data-offset", "feature-gc"]
    );
}
