//! The windows of a real guest have holes and read-only parts. Touching them through a bulk instruction must be a trap,
//! not the end of the process.

use crate::engine::{Guest, PAGES, admitted};
use crate::testing::Parts;
use std::ops::Range;
use std::ptr::null_mut;
use std::sync::Arc;
use wasmtime::{Engine, LinearMemory, MemoryCreator, MemoryType, Trap};
use weir_engine::abi::{MODULE_BASE, NULL_END, RW_WINDOW};
use weir_engine::config::{MEMORY_GUARD_BYTES, MEMORY_RESERVATION_BYTES, engine_config};

/// Memory as a weir instance has it: nothing below the window, a read-only window of which one part is mapped.
struct Slot {
    base: usize,
    size: usize,
    reserved: usize,
}

/// The only part of the read-only window that is mapped.
const GRANTED: Range<usize> = 0x0024_0000..0x0026_0000;

impl Slot {
    fn new(size: usize, reserved: usize) -> Slot {
        let protect = |base: usize, range: Range<usize>, access| {
            // SAFETY: the range lies within the reservation that was just made.
            let outcome = unsafe { libc::mprotect((base + range.start) as *mut _, range.len(), access) };
            assert_eq!(outcome, 0);
        };
        // SAFETY: a new anonymous mapping.
        let base = unsafe {
            libc::mmap(
                null_mut(),
                reserved,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED);
        let base = base as usize;
        protect(base, RW_WINDOW as usize..size, libc::PROT_READ | libc::PROT_WRITE);
        protect(base, GRANTED, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: the range has just been made writable.
        let granted = unsafe { std::slice::from_raw_parts_mut((base + GRANTED.start) as *mut u8, GRANTED.len()) };
        for (index, byte) in granted.iter_mut().enumerate() {
            *byte = index as u8;
        }
        protect(base, GRANTED, libc::PROT_READ);
        Slot { base, size, reserved }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: the mapping is this slot's own.
        unsafe { libc::munmap(self.base as *mut _, self.reserved) };
    }
}

// SAFETY: base and size stay as they are for the memory's whole life; it does not grow.
unsafe impl LinearMemory for Slot {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        self.size
    }

    fn grow_to(&mut self, _new_size: usize) -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg("the memory does not grow"))
    }

    fn as_ptr(&self) -> *mut u8 {
        self.base as *mut u8
    }
}

struct Slots;

// SAFETY: each memory is a mapping of its own with the reservation and guard that were asked for.
unsafe impl MemoryCreator for Slots {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        assert_eq!(maximum, Some(minimum));
        assert_eq!(reserved, Some(MEMORY_RESERVATION_BYTES as usize));
        assert_eq!(guard, MEMORY_GUARD_BYTES as usize);
        Ok(Box::new(Slot::new(minimum, reserved.unwrap() + guard)))
    }
}

fn guest() -> Guest {
    let module = Parts {
        rest: r#"(data "segment")
            (func (export "copy") (param i32 i32 i32)
              (memory.copy (local.get 0) (local.get 1) (local.get 2)))
            (func (export "fill") (param i32 i32 i32)
              (memory.fill (local.get 0) (local.get 1) (local.get 2)))
            (func (export "init") (param i32 i32 i32)
              (memory.init 0 (local.get 0) (local.get 1) (local.get 2)))
            (func (export "store") (param i32 i32 i32)
              (i32.store (local.get 0) (local.get 1)))"#,
        ..Parts::default()
    }
    .build();
    let mut config = engine_config();
    config.with_host_memory(Arc::new(Slots));
    let engine = Engine::new(&config).unwrap();
    Guest::new(&engine, &admitted(&module).module.unwrap())
}

fn trap(guest: &mut Guest, name: &str, operands: (u32, u32, u32)) -> Option<Trap> {
    let outcome = guest.call(name, operands);
    outcome
        .err()
        .map(|error| *error.downcast_ref::<Trap>().unwrap_or_else(|| panic!("{error:?}")))
}

#[test]
fn stores_and_bulk_writes_below_the_writable_part_are_traps() {
    let mut guest = guest();
    for address in [0, NULL_END - 1, NULL_END, 0x0024_0000, RW_WINDOW - 4] {
        let store = trap(&mut guest, "store", (address, 1, 0));
        assert_eq!(store, Some(Trap::MemoryOutOfBounds), "{address:#x}");
        for name in ["copy", "fill"] {
            let bulk = trap(&mut guest, name, (address, MODULE_BASE, 1));
            assert_eq!(bulk, Some(Trap::UnreachableCodeReached), "{name} {address:#x}");
        }
        let init = trap(&mut guest, "init", (address, 0, 1));
        assert_eq!(init, Some(Trap::UnreachableCodeReached), "{address:#x}");
    }
    assert_eq!(trap(&mut guest, "store", (RW_WINDOW, 1, 0)), None);
}

#[test]
fn granted_bytes_can_be_copied_out() {
    let mut guest = guest();
    for length in [1, 63, 64, 1000, 0x1_0000, 0x2_0000] {
        let source = GRANTED.start as u32;
        assert_eq!(trap(&mut guest, "copy", (MODULE_BASE, source, length)), None);
        let memory = guest.memory.data_ptr(&guest.store);
        for index in [0, length / 2, length - 1] {
            // SAFETY: the module's own part is mapped.
            let byte = unsafe { memory.add((MODULE_BASE + index) as usize).read() };
            assert_eq!(byte, index as u8);
        }
    }
}

#[test]
fn copies_out_of_a_hole_are_traps() {
    let mut guest = guest();
    let granted_end = GRANTED.end as u32;
    for (source, length) in [
        (0, 1),
        (8, 65_536),
        (NULL_END - 1, 1),
        (NULL_END, 64),
        (granted_end - 10, 11),
        (granted_end - 1000, 5000),
        (RW_WINDOW - 1, 2),
        (RW_WINDOW - 200_000, 400_000),
    ] {
        let outcome = trap(&mut guest, "copy", (MODULE_BASE, source, length));
        assert_eq!(outcome, Some(Trap::MemoryOutOfBounds), "{source:#x} {length}");
    }
    assert_eq!(trap(&mut guest, "copy", (MODULE_BASE, 0, 0)), None);
    assert_eq!(trap(&mut guest, "init", (0, 0, 0)), None);
    assert_eq!(guest.memory.size(&guest.store), u64::from(PAGES));
}
