//! What the limits promise: the largest and the most hostile modules within them compile in bounded time. The figures
//! are printed (`cargo test --release -- --nocapture compile_time`), and nothing is asserted about them.

use crate::engine::engine;
use crate::testing::Parts;
use std::time::{Duration, Instant};
use wasmtime::Module;
use weir_engine::admit::admit;
use weir_engine::limits::{AdmitLimits, DEFAULT_MAX_FUNCTIONS, DEFAULT_MAX_MODULE_BYTES};

/// Functions of `body` until the module is nearly as large as it may be, or has as much work as it may have.
fn largest(name: &str, function: &str) -> Vec<u8> {
    let one = build(function, 1);
    let two = build(function, 2);
    let bytes = two.len() - one.len();
    let mut count = ((DEFAULT_MAX_MODULE_BYTES as usize - 2000) / bytes).min(DEFAULT_MAX_FUNCTIONS as usize - 2);
    loop {
        let module = build(function, count);
        let admission = admit(&module, &AdmitLimits::default());
        let rules: Vec<&str> = admission.report.errors.iter().map(|error| error.rule).collect();
        match rules.as_slice() {
            [] => return module,
            ["limit-module-work" | "limit-module-bytes"] => count = count * 9 / 10,
            _ => panic!("{name}: {:?}", admission.report.errors[0]),
        }
    }
}

fn build(function: &str, count: usize) -> Vec<u8> {
    Parts {
        rest: &format!(
            "(type $wide (func (param {w}) (result {w}))) {}",
            function.repeat(count),
            w = "i32 ".repeat(16)
        ),
        ..Parts::default()
    }
    .build()
}

fn measure(name: &str, function: &str) {
    let module = largest(name, function);
    let (wall, cpu) = (Instant::now(), cpu_time());
    let admission = admit(&module, &AdmitLimits::default());
    let admitted = cpu_time() - cpu;
    let rewritten = admission.module.unwrap();
    let compiling = cpu_time();
    Module::new(engine(), &rewritten).unwrap();
    println!(
        "{name}: {} functions, {} bytes: {} ms to admit, {} ms to compile (CPU); {} ms in all",
        admission.report.functions,
        module.len(),
        admitted.as_millis(),
        (cpu_time() - compiling).as_millis(),
        wall.elapsed().as_millis()
    );
}

/// CPU time of this process: wall time says little on a machine that is shared.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: time is a place for the answer.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(outcome, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The operators of a body, in the text format, that fill the body limit.
fn body(
    locals: usize,
    ty: &str,
    prologue: &str,
    repeated: impl Fn(usize) -> String,
    count: usize,
    epilogue: &str,
) -> String {
    let repeated: String = (0..count).map(repeated).collect();
    let locals = format!("{ty} ").repeat(locals);
    format!("(func (param i32) (local {locals}) {prologue} {repeated} {epilogue})")
}

fn cases() -> Vec<(&'static str, String)> {
    let none = |_| String::new();
    let add = |local: usize| format!("(local.set {local} (i32.add (local.get {local}) (local.get 0)))");
    vec![
        (
            "tiny functions",
            "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))".to_string(),
        ),
        (
            "straight arithmetic",
            body(8, "i32", "", |turn| add(1 + turn % 8), 14_000, ""),
        ),
        (
            "loads and stores",
            body(
                1,
                "i32",
                "",
                |turn| format!("(i32.store offset={turn} (local.get 0) (i32.load offset={turn} (local.get 0)))"),
                9_000,
                "",
            ),
        ),
        (
            "vectors",
            body(
                60,
                "v128",
                "",
                |turn| {
                    let (to, from) = (1 + turn % 60, 1 + (turn * 7 + 3) % 60);
                    format!(
                        "(local.set {to} (i8x16.swizzle (local.get {to}) (i64x2.mul (local.get {from}) (local.get {to}))))"
                    )
                },
                9_000,
                "",
            ),
        ),
        (
            "many locals, many blocks",
            body(
                700,
                "i32",
                "",
                |turn| format!("(block (br_if 0 (local.get 0)) {})", add(1 + turn % 700)),
                1_300,
                "",
            ),
        ),
        (
            "few locals, very many blocks",
            body(
                40,
                "i32",
                "",
                |turn| format!("(block (br_if 0 (local.get 0)) {})", add(1 + turn % 40)),
                5_000,
                "",
            ),
        ),
        (
            "very many locals, few blocks",
            body(
                4_000,
                "i32",
                "",
                |turn| format!("(loop {} (br_if 0 (local.get 0)))", add(1 + turn)),
                300,
                "",
            ),
        ),
        (
            "nested loops that assign every local",
            body(
                100,
                "i32",
                &"(loop ".repeat(43),
                |turn| add(1 + turn),
                100,
                &"(br_if 0 (local.get 0)))".repeat(43),
            ),
        ),
        (
            "many loops in a row",
            body(
                1_000,
                "i32",
                "",
                |turn| format!("(loop {} (br_if 0 (local.get 0)))", add(1 + turn % 1_000)),
                900,
                "",
            ),
        ),
        (
            "many nests of loops",
            body(
                100,
                "i32",
                "",
                |turn| {
                    format!(
                        "{} {} {}",
                        "(loop ".repeat(8),
                        add(1 + turn % 100),
                        "(br_if 0 (local.get 0)))".repeat(8)
                    )
                },
                220,
                "",
            ),
        ),
        (
            "nested blocks left from the innermost",
            body(
                300,
                "i32",
                &"(block ".repeat(1_000),
                |turn| format!("(br_if {} (local.get 0)) {}", turn % 1_000, add(1 + turn % 300)),
                4_000,
                &")".repeat(1_000),
            ),
        ),
        (
            "many operands alive over blocks",
            body(
                0,
                "i32",
                &"(i32.load (local.get 0))".repeat(3_000),
                |_| "(block (br_if 0 (local.get 0)))".to_string(),
                400,
                "unreachable",
            ),
        ),
        (
            "many operands alive over calls",
            body(
                0,
                "i32",
                &"(i32.load (local.get 0))".repeat(8_000),
                |_| "(call 0)".to_string(),
                40_000,
                "unreachable",
            ),
        ),
        (
            "wide loops in a row",
            body(
                1,
                "i32",
                &"(local.get 0)".repeat(16),
                |_| "(loop (type $wide) (br_if 0 (local.get 0)))".to_string(),
                800,
                "unreachable",
            ),
        ),
        (
            "wide blocks in a row",
            body(
                1,
                "i32",
                &"(local.get 0)".repeat(16),
                |_| "(block (type $wide) (br_if 0 (local.get 0)))".to_string(),
                2_500,
                "unreachable",
            ),
        ),
        (
            "jump tables",
            body(
                1,
                "i32",
                "",
                |_| format!("(block (block (br_table {} (local.get 0))))", "0 1 ".repeat(2_000)),
                4,
                "",
            ),
        ),
        (
            "divisions and indirect calls",
            body(
                20,
                "i64",
                "",
                |turn| {
                    let local = 1 + turn % 20;
                    format!("(local.set {local} (i64.div_s (local.get {local}) (i64.load (local.get 0))))")
                },
                9_000,
                "",
            ),
        ),
        ("empty", body(0, "i32", "", none, 0, "")),
    ]
}

#[test]
fn largest_and_most_hostile_modules() {
    // All of them take minutes; the quickest shows that the measurement works. Set the name of a case, or `all`.
    let chosen = std::env::var("WEIR_COMPILE_TIME_CASE").unwrap_or_else(|_| "tiny functions".into());
    for (name, function) in cases() {
        if chosen == "all" || chosen == name {
            measure(name, &function);
        }
    }
}
