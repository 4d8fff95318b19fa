use super::*;
use crate::admit::admit;
use crate::limits::AdmitLimits;
use crate::testing::module_with;

const PAGES: u32 = 400;

const GUEST: &str = r#"
    (table 2 funcref) (elem (i32.const 0) $weir_start)
    (global i32 (i32.const 7))
    (data (i32.const 0x1400000) "abc")
    (data "def")
    (func $f
      (memory.copy (i32.const 0x1400000) (i32.const 0x1400001) (i32.const 1))
      (memory.fill (i32.const 0x1400000) (i32.const 1) (i32.const 1))
      (memory.init 1 (i32.const 0x1400000) (i32.const 0) (i32.const 1)))"#;

fn pair() -> (Vec<u8>, Vec<u8>) {
    let original = module_with(GUEST);
    let limits = AdmitLimits {
        memory_pages: PAGES,
        ..AdmitLimits::default()
    };
    let admission = admit(&original, &limits);
    assert_eq!(admission.report.errors, []);
    (original, admission.module.unwrap())
}

fn bodies(module: &[u8]) -> Vec<Range<usize>> {
    let bodies = Anatomy::of(module).unwrap().bodies;
    bodies.iter().map(FunctionBody::range).collect()
}

/// The outcome with the first occurrence of `from` in the given range replaced by `to`.
fn refused(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let (original, mut rewritten) = pair();
    change(&mut rewritten);
    prove(&original, &rewritten, PAGES).unwrap_err()
}

fn replace(module: &mut [u8], range: Range<usize>, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let at = module[range.clone()]
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    module[range.start + at..][..to.len()].copy_from_slice(to);
}

#[test]
fn what_the_rewriter_writes_is_proved() {
    let (original, rewritten) = pair();
    prove(&original, &rewritten, PAGES).unwrap();
}

#[test]
fn unrewritten_module_is_refused() {
    let original = module_with(GUEST.replace("i32.const 1)", "i32.const 2)").as_str());
    prove(&original, &original, PAGES).unwrap_err();
}

#[test]
fn bulk_instruction_outside_a_helper_is_refused() {
    let original = module_with(GUEST);
    // The same module with the memory fixed, and nothing else done.
    let fixed = wat::parse_str(format!(
        r#"(module (memory (export "memory") {PAGES} {PAGES})
           (global (export "weir_abi") i32 (i32.const 1))
           (func $weir_start (export "weir_start"))
           (func (export "weir_poll") (param i32) (result i64) i64.const 0)
           {})"#,
        GUEST.replace("(table 2 funcref)", "(table 2 2 funcref)")
    ))
    .unwrap();
    let what = prove(&original, &fixed, PAGES).unwrap_err();
    assert!(what.contains("has become MemoryCopy"), "{what}");
}

#[test]
fn changed_helper_is_refused() {
    let what = refused(|module| {
        let copy = bodies(module)[3].clone();
        // i32.lt_u becomes i32.le_u, i64.gt_u becomes i64.ge_u
        replace(module, copy, &[0x56], &[0x5a]);
    });
    assert!(what.contains("weir.copy is not what"), "{what}");
}

#[test]
fn helper_of_another_memory_is_refused() {
    let (original, rewritten) = pair();
    let what = prove(&original, &rewritten, PAGES + 1).unwrap_err();
    assert!(what.contains("not fixed"), "{what}");
}

#[test]
fn call_of_the_wrong_helper_is_refused() {
    let what = refused(|module| {
        let user = bodies(module)[2].clone();
        replace(module, user, &[0x10, 3], &[0x10, 4]);
    });
    assert!(what.contains("has become Call"), "{what}");
}

#[test]
fn changed_instruction_is_refused() {
    let what = refused(|module| {
        let poll = bodies(module)[1].clone();
        replace(module, poll, &[0x42, 0], &[0x42, 1]);
    });
    assert!(what.contains("defined function 1"), "{what}");
}

#[test]
fn changed_sections_are_refused() {
    type Part = fn(&Anatomy<'_>) -> Range<usize>;
    let parts: [(&str, Part, &[u8], &[u8]); 5] = [
        ("globals", |anatomy| anatomy.globals.clone(), &[0x41, 7], &[0x41, 8]),
        ("exports", |anatomy| anatomy.exports.clone(), b"weir_poll", b"weir_pool"),
        ("elements", |anatomy| anatomy.elements.clone(), &[0x41, 0], &[0x41, 1]),
        ("data", |anatomy| anatomy.data.clone(), b"abc", b"abd"),
        ("tables", |_| 0..0, &[], &[]),
    ];
    for (name, part, from, to) in parts.into_iter().take(4) {
        let what = refused(|module| {
            let range = part(&Anatomy::of(module).unwrap());
            replace(module, range, from, to);
        });
        assert_eq!(what, format!("the section of {name} has changed"));
    }
    let what = refused(|module| replace(module, 0..200, &[0x70, 1, 2, 2], &[0x70, 1, 2, 3]));
    assert_eq!(what, "a table has changed");
    let what = refused(|module| {
        // min 400 (0x90 0x03) max 400 becomes max 401
        let end = module.len();
        replace(module, 0..end, &[1, 0x90, 3, 0x90, 3], &[1, 0x90, 3, 0x91, 3]);
    });
    assert!(what.contains("not fixed"), "{what}");
}

#[test]
fn data_in_the_hosts_part_is_refused() {
    let anatomy_error = |data: &str| {
        let module = wat::parse_str(format!("(module (memory {PAGES} {PAGES}) {data})")).unwrap();
        prove_data(&Anatomy::of(&module).unwrap(), PAGES)
    };
    anatomy_error(r#"(data (i32.const 0x1400000) "x")"#).unwrap();
    anatomy_error(r#"(data (i32.const 0x13fffff) "x")"#).unwrap_err();
    anatomy_error(r#"(data (i32.sub (i32.const 0x1400000) (i32.const 1)) "x")"#).unwrap_err();
    anatomy_error(r#"(data (i32.const 0x18fffff) "x")"#).unwrap();
    anatomy_error(r#"(data (i32.const 0x18fffff) "xy")"#).unwrap_err();
}
