//! Damaged and hostile bytes: nothing panics, and whatever is admitted compiles.

use crate::engine::engine;
use crate::random::Random;
use crate::testing::Parts;
use wasmtime::Module;
use weir_engine::admit::admit;
use weir_engine::limits::AdmitLimits;

fn seed_module() -> Vec<u8> {
    Parts {
        imports: r#"(import "env" "abort" (func (param i32 i32 i32 i32)))"#,
        rest: r#"(table 3 funcref) (elem (i32.const 0) $weir_start $loop)
            (global (mut i32) (i32.const 0))
            (data (i32.const 0x1400000) "some data") (data "passive")
            (func $loop (param i32) (result i32) (local i64 v128)
              (block (loop (br_if 1 (local.get 0)) (br 0)))
              (memory.copy (i32.const 0x1400000) (i32.const 0x1400004) (i32.const 2))
              (memory.fill (i32.const 0x1400000) (i32.const 0) (i32.const 3))
              (memory.init 1 (i32.const 0x1400000) (i32.const 0) (i32.const 1))
              (local.set 2 (i8x16.add (local.get 2) (v128.const i64x2 1 2)))
              (if (result i32) (i32.load offset=4 (local.get 0))
                (then (i32.const 1)) (else (i32.extend8_s (local.get 0)))))
            (func (call_indirect (i32.const 0)) (data.drop 1)
              (block (block (br_table 0 1 0 (i32.const 1)))))"#,
        ..Parts::default()
    }
    .build()
}

fn mutate(module: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let length = module.len() as u64;
        let at = random.below(length) as usize;
        match random.below(6) {
            0 => module[at] ^= 1 << random.below(8),
            1 => module[at] = random.next() as u8,
            2 => module[at] = module[at].wrapping_add(1),
            3 => {
                module.remove(at);
            }
            4 => module.insert(at, random.next() as u8),
            _ => {
                let from = random.below(length) as usize;
                let count = (random.below(16) as usize).min(module.len() - at.max(from));
                module.copy_within(from..from + count, at);
            }
        }
    }
}

#[test]
fn mutated_modules_never_break_admission() {
    let seed = seed_module();
    let limits = AdmitLimits::default();
    assert!(admit(&seed, &limits).is_admitted());
    let mut random = Random(2026);
    let mut admitted = 0;
    for round in 0..6000 {
        let mut module = seed.clone();
        mutate(&mut module, &mut random);
        let admission = admit(&module, &limits);
        let rules: Vec<&str> = admission.report.errors.iter().map(|error| error.rule).collect();
        let ours = ["internal", "proof"].iter().any(|rule| rules.contains(rule));
        assert!(!ours, "round {round}: {:?}", admission.report.errors);
        let Some(rewritten) = admission.module else {
            assert!(!rules.is_empty());
            continue;
        };
        admitted += 1;
        if let Err(error) = Module::validate(engine(), &rewritten) {
            panic!("round {round}: {error:?}");
        }
        if admitted % 4 == 0 {
            Module::new(engine(), &rewritten).unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        }
    }
    // The test is of use only if both outcomes are frequent.
    assert!(admitted > 300, "{admitted}");
}

#[test]
fn truncated_modules_are_refused() {
    let seed = seed_module();
    for length in 0..seed.len() {
        let admission = admit(&seed[..length], &AdmitLimits::default());
        // What is cut off may be the name section alone.
        if let Some(module) = admission.module {
            Module::new(engine(), module).unwrap();
            assert!(length > seed.len() / 2);
        }
    }
}

#[test]
fn random_sections_behind_a_valid_preamble_are_refused() {
    let mut random = Random(77);
    for _ in 0..2000 {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        for _ in 0..random.below(200) {
            // Small numbers are more often section ids and lengths.
            let bound = [16, 256][random.below(2) as usize];
            module.push(random.below(bound) as u8);
        }
        assert!(!admit(&module, &AdmitLimits::default()).is_admitted());
    }
}
