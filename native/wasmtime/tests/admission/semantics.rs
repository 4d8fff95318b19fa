//! A rewritten module does to memory what the original does, wherever the original may.

use crate::engine::{END, Guest, PAGES, admitted, engine};
use crate::random::Random;
use crate::testing::Parts;
use weir_engine::abi::{MODULE_BASE, RW_WINDOW};

const SEGMENT_BYTES: u32 = 200_000;

/// A guest that offers the three instructions; segment 1 is passive.
fn source() -> Vec<u8> {
    let mut random = Random(7);
    let segment: String = (0..SEGMENT_BYTES)
        .map(|_| format!("\\{:02x}", random.below(256)))
        .collect();
    Parts {
        memory: &format!(r#"(memory (export "memory") {PAGES} {PAGES})"#),
        rest: &format!(
            r#"(data (i32.const {MODULE_BASE}) "active")
               (data "{segment}")
               (func (export "copy") (param i32 i32 i32)
                 (memory.copy (local.get 0) (local.get 1) (local.get 2)))
               (func (export "fill") (param i32 i32 i32)
                 (memory.fill (local.get 0) (local.get 1) (local.get 2)))
               (func (export "init") (param i32 i32 i32)
                 (memory.init 1 (local.get 0) (local.get 1) (local.get 2)))
               (func (export "drop") (param i32 i32 i32) (data.drop 1))
               (func (export "init_active") (param i32 i32 i32)
                 (memory.init 0 (local.get 0) (local.get 1) (local.get 2)))"#
        ),
        ..Parts::default()
    }
    .build()
}

/// The original and the rewritten guest, with the same bytes in both memories.
struct Pair {
    original: Guest,
    rewritten: Guest,
}

impl Pair {
    fn new() -> Pair {
        let module = source();
        let admission = admitted(&module);
        let mut pair = Pair {
            original: Guest::new(engine(), &module),
            rewritten: Guest::new(engine(), &admission.module.unwrap()),
        };
        let mut random = Random(1);
        for word in pair.original.bytes().chunks_exact_mut(8) {
            word.copy_from_slice(&random.next().to_le_bytes());
        }
        let bytes = pair.original.bytes().to_vec();
        pair.rewritten.bytes().copy_from_slice(&bytes);
        pair
    }

    /// Both do the same: trap or not, and leave the same memory.
    fn same(&mut self, name: &str, operands: (u32, u32, u32)) {
        let what = format!("{name} {:#x} {:#x} {:#x}", operands.0, operands.1, operands.2);
        let original = self.original.call(name, operands);
        let rewritten = self.rewritten.call(name, operands);
        assert_eq!(original.is_ok(), rewritten.is_ok(), "{what}: {rewritten:?}");
        self.assert_same_memory(&what);
    }

    /// The rewritten one traps and leaves memory as it was.
    fn guarded(&mut self, name: &str, operands: (u32, u32, u32)) {
        let what = format!("{name} {:#x} {:#x} {:#x}", operands.0, operands.1, operands.2);
        let error = self.rewritten.call(name, operands).expect_err(&what);
        assert_eq!(
            error.downcast_ref::<wasmtime::Trap>(),
            Some(&wasmtime::Trap::UnreachableCodeReached),
            "{what}"
        );
        self.assert_same_memory(&what);
    }

    fn assert_same_memory(&mut self, what: &str) {
        assert!(self.original.bytes() == self.rewritten.bytes(), "{what}");
    }
}

const LENGTHS: [u32; 14] = [0, 1, 7, 8, 15, 16, 63, 64, 65, 127, 65_535, 65_536, 65_537, 200_000];

#[test]
fn copies_overlap_in_both_directions() {
    let mut pair = Pair::new();
    let base = MODULE_BASE + 300_000;
    for length in LENGTHS {
        for distance in [0, 1, 15, 64, 1000, 65_535, 65_536, 65_537] {
            pair.same("copy", (base + distance, base, length));
            pair.same("copy", (base - distance, base, length));
        }
    }
}

#[test]
fn copies_straddle_the_end_of_the_read_only_window() {
    let mut pair = Pair::new();
    for length in LENGTHS {
        for below in [1, 8, 16, 63, 64, 65, 1000, 65_536, 200_000] {
            let source = RW_WINDOW - below;
            pair.same("copy", (MODULE_BASE + 5, source, length));
            // The destination lies within the source's part above.
            pair.same("copy", (RW_WINDOW, source, length));
            pair.same("copy", (RW_WINDOW + 3, source, length));
        }
    }
}

#[test]
fn fills_and_inits_have_every_length() {
    let mut pair = Pair::new();
    for length in LENGTHS {
        pair.same("fill", (MODULE_BASE + 1, 0x1_5a, length));
        pair.same("fill", (RW_WINDOW, 7, length));
        pair.same("init", (MODULE_BASE + 3, SEGMENT_BYTES - length, length));
        pair.same("init", (RW_WINDOW, 0, length));
    }
    pair.same("fill", (RW_WINDOW, 9, END - RW_WINDOW));
}

#[test]
fn edges_of_memory_and_segment_trap_alike() {
    let mut pair = Pair::new();
    for length in [0, 1, 64, 65_536] {
        for beyond in [0, 1] {
            let edge = END - length + beyond;
            pair.same("fill", (edge, 1, length));
            pair.same("copy", (edge, MODULE_BASE, length));
            pair.same("copy", (MODULE_BASE, edge, length));
            pair.same("init", (edge, 0, length));
        }
        // Beyond the segment: what comes before the chunk that traps is written, so only one chunk is compared.
        pair.same("init", (MODULE_BASE, SEGMENT_BYTES - length + 1, length));
    }
    for length in [0xffff_ffff, 0xffff_0000, 0x8000_0000] {
        pair.same("fill", (MODULE_BASE, 1, length));
        pair.same("copy", (MODULE_BASE, MODULE_BASE + 1, length));
        pair.same("copy", (MODULE_BASE + 1, MODULE_BASE, length));
        pair.same("init", (MODULE_BASE, 0, length));
        // Start and length wrap around to a small sum.
        pair.same("fill", (0xffff_ffff, 1, length));
        pair.same("copy", (MODULE_BASE, 0xffff_ffff, length));
        pair.same("copy", (0xffff_ffff, MODULE_BASE, length));
        pair.same("init", (0xffff_ffff, 0, length));
    }
    // The sum of offset and length wraps around.
    pair.same("init", (MODULE_BASE, 0xffff_ffff, 2));
}

#[test]
fn nothing_is_done_for_length_zero_anywhere_in_memory() {
    let mut pair = Pair::new();
    for address in [0, 1, RW_WINDOW - 1, RW_WINDOW, MODULE_BASE, END, END + 1, u32::MAX] {
        pair.same("fill", (address, 1, 0));
        pair.same("copy", (address, MODULE_BASE, 0));
        pair.same("copy", (MODULE_BASE, address, 0));
        pair.same("init", (address, 0, 0));
    }
}

#[test]
fn dropped_and_active_segments_are_empty() {
    let mut pair = Pair::new();
    pair.same("init", (MODULE_BASE, 10, 100));
    pair.same("drop", (0, 0, 0));
    for name in ["init", "init_active"] {
        pair.same(name, (MODULE_BASE, 0, 0));
        pair.same(name, (MODULE_BASE, 0, 1));
        pair.same(name, (MODULE_BASE, 1, 0));
        pair.same(name, (0, 0, 0));
    }
}

#[test]
fn destination_below_the_writable_part_traps() {
    let mut pair = Pair::new();
    for destination in [0, 0x0020_0000, RW_WINDOW - 65_537, RW_WINDOW - 1] {
        for length in [1, 2, 65_537, 200_000] {
            pair.guarded("fill", (destination, 1, length));
            pair.guarded("copy", (destination, MODULE_BASE, length));
            pair.guarded("copy", (destination, destination, length));
            pair.guarded("init", (destination, 0, length));
        }
    }
    pair.same("fill", (RW_WINDOW, 1, 1));
}

#[test]
fn random_operations_leave_the_same_memory() {
    let mut pair = Pair::new();
    let mut random = Random(48);
    for _ in 0..400 {
        let length = match random.below(4) {
            0 => random.below(80),
            1 => random.below(5000),
            2 => 65_536 * random.below(4) + random.below(3),
            _ => random.below(300_000),
        } as u32;
        let room = END - RW_WINDOW - length;
        let destination = RW_WINDOW + random.below(u64::from(room)) as u32;
        match random.below(5) {
            0 => pair.same("fill", (destination, random.next() as u32, length)),
            1 => pair.same("init", (destination, random.below(250_000) as u32, length.min(60_000))),
            2 => {
                let source = RW_WINDOW - 200_000 + random.below(400_000) as u32;
                pair.same("copy", (destination, source, length));
            }
            _ => {
                let near = destination as i64 + random.below(200_000) as i64 - 100_000;
                let source = near.clamp(0, i64::from(END - length)) as u32;
                pair.same("copy", (destination, source, length));
            }
        }
    }
}
