//! The functions that stand in for memory.copy, memory.fill and memory.init.
//!
//! A fault in Wasm code is a trap; a fault in the engine's own code, which is what carries out a bulk operation, ends
//! the process. So a helper lets a bulk operation touch only what is always mapped and writable: from [`RW_WINDOW`] to
//! the end of memory. Bytes below are read by loads in Wasm. Every helper works in chunks, because epochs are checked
//! between bulk operations and not within.

use crate::abi::{PAGE_BYTES, RW_WINDOW};
use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, ValType};

/// Longest single bulk operation, bytes.
pub const CHUNK_BYTES: i32 = 64 << 10;

/// Bytes that one turn of the loop over the read-only window copies.
const UNROLLED_BYTES: i32 = 64;

/// What a helper stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Helper {
    Copy,
    Fill,
    /// memory.init of this data segment.
    Init(u32),
}

impl Helper {
    /// The name that the name section and therefore a backtrace shows.
    pub fn name(self) -> String {
        match self {
            Helper::Copy => "weir.copy".into(),
            Helper::Fill => "weir.fill".into(),
            Helper::Init(segment) => format!("weir.init.{segment}"),
        }
    }

    /// The body (locals and instructions, without its length) for a memory of `memory_pages` that never grows. Takes
    /// the operands of the instruction it stands in for, in the same order.
    pub fn body(self, memory_pages: u32) -> Vec<u8> {
        match self {
            Helper::Copy => copy_body(memory_pages),
            Helper::Fill => fill_body(memory_pages),
            Helper::Init(segment) => init_body(segment, memory_pages),
        }
    }
}

const DESTINATION: u32 = 0;

/// Traps unless `local[start] + local[length]` lies within memory, the end included.
fn trap_beyond_memory(code: &mut InstructionSink, start: u32, length: u32, memory_pages: u32) {
    code.local_get(start)
        .i64_extend_i32_u()
        .local_get(length)
        .i64_extend_i32_u()
        .i64_add()
        .i64_const((u64::from(memory_pages) * PAGE_BYTES) as i64)
        .i64_gt_u()
        .if_(BlockType::Empty)
        .unreachable()
        .end();
}

/// Traps if the destination lies below what may be written.
fn trap_below_window(code: &mut InstructionSink) {
    code.local_get(DESTINATION)
        .i32_const(RW_WINDOW as i32)
        .i32_lt_u()
        .if_(BlockType::Empty)
        .unreachable()
        .end();
}

/// `local[result] = min(local[length], limit)`
fn minimum(code: &mut InstructionSink, result: u32, length: u32, limit: i32) {
    code.local_get(length)
        .i32_const(limit)
        .local_get(length)
        .i32_const(limit)
        .i32_lt_u()
        .select()
        .local_set(result);
}

/// `local[target] += local[step]`
fn advance(code: &mut InstructionSink, target: u32, step: u32) {
    code.local_get(target).local_get(step).i32_add().local_set(target);
}

/// `local[target] += step`
fn advance_by(code: &mut InstructionSink, target: u32, step: i32) {
    code.local_get(target).i32_const(step).i32_add().local_set(target);
}

/// Opens a loop that ends when fewer than `needed` bytes are left in `local[rest]`; [`end_while`] closes it.
fn begin_while_at_least(code: &mut InstructionSink, rest: u32, needed: i32) {
    code.block(BlockType::Empty)
        .loop_(BlockType::Empty)
        .local_get(rest)
        .i32_const(needed)
        .i32_lt_u()
        .br_if(1);
}

fn end_while(code: &mut InstructionSink) {
    code.br(0).end().end();
}

/// memory.copy with memmove's semantics.
///
/// The part of the source below [`RW_WINDOW`] ("low") goes last and forwards: its destination lies above all of it, so
/// the two cannot overlap, and the rest of the source has been read by then.
fn copy_body(memory_pages: u32) -> Vec<u8> {
    const SOURCE: u32 = 1;
    const LENGTH: u32 = 2;
    const LOW: u32 = 3;
    const TO: u32 = 4;
    const FROM: u32 = 5;
    const REST: u32 = 6;
    const CHUNK: u32 = 7;
    let mut function = Function::new([(5, ValType::I32)]);
    let mut code = function.instructions();
    trap_beyond_memory(&mut code, DESTINATION, LENGTH, memory_pages);
    trap_beyond_memory(&mut code, SOURCE, LENGTH, memory_pages);
    code.local_get(LENGTH).i32_eqz().if_(BlockType::Empty).return_().end();
    trap_below_window(&mut code);

    // low = source < RW_WINDOW ? min(length, RW_WINDOW - source) : 0
    code.local_get(SOURCE)
        .i32_const(RW_WINDOW as i32)
        .i32_lt_u()
        .if_(BlockType::Empty)
        .i32_const(RW_WINDOW as i32)
        .local_get(SOURCE)
        .i32_sub()
        .local_tee(LOW)
        .local_get(LENGTH)
        .local_get(LOW)
        .local_get(LENGTH)
        .i32_lt_u()
        .select()
        .local_set(LOW)
        .end();

    for (result, start) in [(TO, DESTINATION), (FROM, SOURCE)] {
        code.local_get(start).local_get(LOW).i32_add().local_set(result);
    }
    code.local_get(LENGTH).local_get(LOW).i32_sub().local_set(REST);

    code.local_get(TO).local_get(FROM).i32_gt_u().if_(BlockType::Empty);
    begin_while_at_least(&mut code, REST, 1);
    minimum(&mut code, CHUNK, REST, CHUNK_BYTES);
    code.local_get(REST).local_get(CHUNK).i32_sub().local_set(REST);
    for start in [TO, FROM] {
        code.local_get(start).local_get(REST).i32_add();
    }
    code.local_get(CHUNK).memory_copy(0, 0);
    end_while(&mut code);
    code.else_();
    begin_while_at_least(&mut code, REST, 1);
    minimum(&mut code, CHUNK, REST, CHUNK_BYTES);
    code.local_get(TO).local_get(FROM).local_get(CHUNK).memory_copy(0, 0);
    advance(&mut code, TO, CHUNK);
    advance(&mut code, FROM, CHUNK);
    code.local_get(REST).local_get(CHUNK).i32_sub().local_set(REST);
    end_while(&mut code);
    code.end();

    begin_while_at_least(&mut code, LOW, UNROLLED_BYTES);
    let vector = |offset: i32| MemArg {
        offset: offset as u64,
        align: 0,
        memory_index: 0,
    };
    for offset in (0..UNROLLED_BYTES).step_by(16) {
        code.local_get(DESTINATION)
            .local_get(SOURCE)
            .v128_load(vector(offset))
            .v128_store(vector(offset));
    }
    advance_by(&mut code, DESTINATION, UNROLLED_BYTES);
    advance_by(&mut code, SOURCE, UNROLLED_BYTES);
    advance_by(&mut code, LOW, -UNROLLED_BYTES);
    end_while(&mut code);
    begin_while_at_least(&mut code, LOW, 8);
    code.local_get(DESTINATION)
        .local_get(SOURCE)
        .i64_load(vector(0))
        .i64_store(vector(0));
    advance_by(&mut code, DESTINATION, 8);
    advance_by(&mut code, SOURCE, 8);
    advance_by(&mut code, LOW, -8);
    end_while(&mut code);
    begin_while_at_least(&mut code, LOW, 1);
    code.local_get(DESTINATION)
        .local_get(SOURCE)
        .i32_load8_u(vector(0))
        .i32_store8(vector(0));
    advance_by(&mut code, DESTINATION, 1);
    advance_by(&mut code, SOURCE, 1);
    advance_by(&mut code, LOW, -1);
    end_while(&mut code);

    code.end();
    function.into_raw_body()
}

fn fill_body(memory_pages: u32) -> Vec<u8> {
    const VALUE: u32 = 1;
    const LENGTH: u32 = 2;
    const CHUNK: u32 = 3;
    let mut function = Function::new([(1, ValType::I32)]);
    let mut code = function.instructions();
    trap_beyond_memory(&mut code, DESTINATION, LENGTH, memory_pages);
    code.local_get(LENGTH).i32_eqz().if_(BlockType::Empty).return_().end();
    trap_below_window(&mut code);
    begin_while_at_least(&mut code, LENGTH, 1);
    minimum(&mut code, CHUNK, LENGTH, CHUNK_BYTES);
    code.local_get(DESTINATION)
        .local_get(VALUE)
        .local_get(CHUNK)
        .memory_fill(0);
    advance(&mut code, DESTINATION, CHUNK);
    code.local_get(LENGTH).local_get(CHUNK).i32_sub().local_set(LENGTH);
    end_while(&mut code);
    code.end();
    function.into_raw_body()
}

/// Carries out one memory.init even for length 0: whether the segment's offset is in bounds, the engine alone knows
/// (data.drop empties a segment).
fn init_body(segment: u32, memory_pages: u32) -> Vec<u8> {
    const OFFSET: u32 = 1;
    const LENGTH: u32 = 2;
    const CHUNK: u32 = 3;
    let mut function = Function::new([(1, ValType::I32)]);
    let mut code = function.instructions();
    trap_beyond_memory(&mut code, DESTINATION, LENGTH, memory_pages);
    code.local_get(LENGTH).if_(BlockType::Empty);
    trap_below_window(&mut code);
    code.end();
    code.loop_(BlockType::Empty);
    minimum(&mut code, CHUNK, LENGTH, CHUNK_BYTES);
    code.local_get(DESTINATION)
        .local_get(OFFSET)
        .local_get(CHUNK)
        .memory_init(0, segment);
    advance(&mut code, DESTINATION, CHUNK);
    advance(&mut code, OFFSET, CHUNK);
    code.local_get(LENGTH)
        .local_get(CHUNK)
        .i32_sub()
        .local_tee(LENGTH)
        .br_if(0)
        .end()
        .end();
    function.into_raw_body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_depend_on_what_they_guard() {
        assert_ne!(Helper::Copy.body(320), Helper::Copy.body(321));
        assert_ne!(Helper::Fill.body(320), Helper::Fill.body(321));
        assert_ne!(Helper::Init(0).body(320), Helper::Init(1).body(320));
        assert_eq!(Helper::Init(1).body(320), Helper::Init(1).body(320));
    }

    #[test]
    fn names_say_what_they_stand_for() {
        assert_eq!(Helper::Copy.name(), "weir.copy");
        assert_eq!(Helper::Fill.name(), "weir.fill");
        assert_eq!(Helper::Init(12).name(), "weir.init.12");
    }
}
