//! Third stage of admission: what the rewriter wrote is checked as if somebody else had written it.
//!
//! Nothing here is shared with the rewriter but the helpers' bodies, which the rewritten module must contain byte for
//! byte. What is proved: the module is valid; bulk instructions stand only in helpers; everything else is what the
//! author wrote; memory has one size for good; data lies in the module's own part of it.

use crate::abi::{MODULE_BASE, PAGE_BYTES};
use crate::features::FEATURES;
use crate::helpers::Helper;
use std::ops::Range;
use wasmparser::{BinaryReader, DataKind, FunctionBody, Operator, Parser, Payload, SubType, Validator};

/// Checks `rewritten` against `original` for a memory of `memory_pages`. The error says what does not hold.
pub fn prove(original: &[u8], rewritten: &[u8], memory_pages: u32) -> Result<(), String> {
    Validator::new_with_features(FEATURES)
        .validate_all(rewritten)
        .map_err(|error| format!("the rewritten module is not valid: {error}"))?;
    let before = Anatomy::of(original).map_err(|error| error.to_string())?;
    let after = Anatomy::of(rewritten).map_err(|error| error.to_string())?;
    for (what, before, after) in [
        ("imports", &before.imports, &after.imports),
        ("globals", &before.globals, &after.globals),
        ("exports", &before.exports, &after.exports),
        ("elements", &before.elements, &after.elements),
        ("data", &before.data, &after.data),
        ("data count", &before.data_count, &after.data_count),
    ] {
        demand(original[before.clone()] == rewritten[after.clone()], || {
            format!("the section of {what} has changed")
        })?;
    }
    demand(!after.has_start, || "there is a start function".into())?;
    prove_memory(&after, memory_pages)?;
    prove_tables(&before, &after)?;
    prove_data(&after, memory_pages)?;
    prove_functions(original, rewritten, &before, &after, memory_pages)
}

fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The parts of a module.
#[derive(Default)]
struct Anatomy<'a> {
    types: Vec<SubType>,
    /// Type index of each defined function.
    functions: Vec<u32>,
    imported_functions: u32,
    tables: Vec<wasmparser::TableType>,
    memories: Vec<wasmparser::MemoryType>,
    imports: Range<usize>,
    globals: Range<usize>,
    exports: Range<usize>,
    elements: Range<usize>,
    data: Range<usize>,
    data_count: Range<usize>,
    has_start: bool,
    segments: Vec<wasmparser::Data<'a>>,
    bodies: Vec<FunctionBody<'a>>,
}

impl<'a> Anatomy<'a> {
    fn of(module: &'a [u8]) -> wasmparser::Result<Anatomy<'a>> {
        let mut anatomy = Anatomy::default();
        let mut parser = Parser::new(0);
        parser.set_features(FEATURES);
        for payload in parser.parse_all(module) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        anatomy.types.extend(group?.into_types());
                    }
                }
                Payload::ImportSection(section) => {
                    anatomy.imports = section.range();
                    anatomy.imported_functions = section.count();
                }
                Payload::FunctionSection(section) => {
                    anatomy.functions = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::TableSection(section) => {
                    for table in section {
                        anatomy.tables.push(table?.ty);
                    }
                }
                Payload::MemorySection(section) => {
                    anatomy.memories = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::GlobalSection(section) => anatomy.globals = section.range(),
                Payload::ExportSection(section) => anatomy.exports = section.range(),
                Payload::StartSection { .. } => anatomy.has_start = true,
                Payload::ElementSection(section) => anatomy.elements = section.range(),
                Payload::DataCountSection { range, .. } => anatomy.data_count = range,
                Payload::DataSection(section) => {
                    anatomy.data = section.range();
                    anatomy.segments = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::CodeSectionEntry(body) => anatomy.bodies.push(body),
                _ => {}
            }
        }
        Ok(anatomy)
    }
}

fn prove_memory(after: &Anatomy<'_>, memory_pages: u32) -> Result<(), String> {
    let pages = u64::from(memory_pages);
    let [memory] = after.memories.as_slice() else {
        return Err("there is not exactly one memory".into());
    };
    demand(
        memory.initial == pages && memory.maximum == Some(pages) && !memory.shared && !memory.memory64,
        || format!("the memory is not fixed at {pages} pages"),
    )
}

fn prove_tables(before: &Anatomy<'_>, after: &Anatomy<'_>) -> Result<(), String> {
    demand(before.tables.len() == after.tables.len(), || {
        "the number of tables has changed".into()
    })?;
    for (before, after) in before.tables.iter().zip(&after.tables) {
        let mut expected = *before;
        expected.maximum = Some(before.maximum.unwrap_or(before.initial));
        demand(*after == expected, || "a table has changed".into())?;
    }
    Ok(())
}

fn prove_data(after: &Anatomy<'_>, memory_pages: u32) -> Result<(), String> {
    let end_of_memory = u64::from(memory_pages) * PAGE_BYTES;
    for (index, segment) in after.segments.iter().enumerate() {
        let DataKind::Active {
            memory_index,
            offset_expr,
        } = &segment.kind
        else {
            continue;
        };
        let start = address(offset_expr.get_binary_reader())
            .ok_or_else(|| format!("data segment {index} has no constant address"))?;
        let end = start + segment.data.len() as u64;
        demand(
            *memory_index == 0 && start >= u64::from(MODULE_BASE) && end <= end_of_memory,
            || format!("data segment {index} lies at {start:#x} to {end:#x}"),
        )?;
    }
    Ok(())
}

/// The address that a constant expression of additions, subtractions and multiplications gives.
fn address(mut reader: BinaryReader<'_>) -> Option<u64> {
    let mut stack = Vec::new();
    loop {
        match reader.read_u8().ok()? {
            // i32.const
            0x41 => stack.push(reader.read_var_i32().ok()? as u32),
            // end
            0x0b => break,
            opcode => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                stack.push(match opcode {
                    0x6a => left.wrapping_add(right),
                    0x6b => left.wrapping_sub(right),
                    0x6c => left.wrapping_mul(right),
                    _ => return None,
                });
            }
        }
    }
    match (stack.as_slice(), reader.eof()) {
        ([address], true) => Some(u64::from(*address)),
        _ => None,
    }
}

fn prove_functions(
    original: &[u8],
    rewritten: &[u8],
    before: &Anatomy<'_>,
    after: &Anatomy<'_>,
    memory_pages: u32,
) -> Result<(), String> {
    let defined = before.functions.len();
    demand(
        after.types.starts_with(&before.types) && after.functions.starts_with(&before.functions),
        || "types or functions have changed".into(),
    )?;
    demand(
        after.bodies.len() == after.functions.len() && before.bodies.len() == defined,
        || "functions and bodies differ in number".into(),
    )?;
    let mut helpers = Vec::new();
    for (body, ty) in after.bodies[defined..].iter().zip(&after.functions[defined..]) {
        let helper = identify(body, memory_pages)?;
        let ty = after.types.get(*ty as usize).ok_or("a helper has no type")?;
        let function = ty.unwrap_func();
        demand(
            function.params() == [wasmparser::ValType::I32; 3] && function.results().is_empty(),
            || format!("{} has a wrong type", helper.name()),
        )?;
        helpers.push(helper);
    }
    let first_helper = before.imported_functions + defined as u32;
    for (index, (before, after)) in before.bodies.iter().zip(&after.bodies).enumerate() {
        let same = prove_body(original, rewritten, before, after, first_helper, &helpers);
        same.map_err(|what| format!("defined function {index}: {what}"))?;
    }
    Ok(())
}

/// Which helper `body` is, byte for byte.
fn identify(body: &FunctionBody<'_>, memory_pages: u32) -> Result<Helper, String> {
    let mut reader = body.get_operators_reader().map_err(|error| error.to_string())?;
    while !reader.eof() {
        let helper = match reader.read().map_err(|error| error.to_string())? {
            Operator::MemoryCopy { .. } => Helper::Copy,
            Operator::MemoryFill { .. } => Helper::Fill,
            Operator::MemoryInit { data_index, .. } => Helper::Init(data_index),
            _ => continue,
        };
        return if body.as_bytes() == helper.body(memory_pages) {
            Ok(helper)
        } else {
            Err(format!("{} is not what the generator writes", helper.name()))
        };
    }
    Err("an appended function is no helper".into())
}

/// Both bodies say the same, but that a bulk instruction in one is a call of its helper in the other.
fn prove_body(
    original: &[u8],
    rewritten: &[u8],
    before: &FunctionBody<'_>,
    after: &FunctionBody<'_>,
    first_helper: u32,
    helpers: &[Helper],
) -> Result<(), String> {
    let text = |error: wasmparser::Error| error.to_string();
    let mut left = before.get_operators_reader().map_err(text)?;
    let mut right = after.get_operators_reader().map_err(text)?;
    let locals = |module: &'_ [u8], body: &FunctionBody<'_>, end: usize| module[body.range().start..end].to_vec();
    demand(
        locals(original, before, left.original_position()) == locals(rewritten, after, right.original_position()),
        || "its locals have changed".into(),
    )?;
    while !left.eof() && !right.eof() {
        let (written, from) = left.read_with_offset().map_err(text)?;
        let (replaced, at) = right.read_with_offset().map_err(text)?;
        let expected = match written {
            Operator::MemoryCopy { .. } => Some(Helper::Copy),
            Operator::MemoryFill { .. } => Some(Helper::Fill),
            Operator::MemoryInit { data_index, .. } => Some(Helper::Init(data_index)),
            _ => None,
        };
        let holds = match (expected, &replaced) {
            (Some(helper), Operator::Call { function_index }) => function_index
                .checked_sub(first_helper)
                .is_some_and(|index| helpers.get(index as usize) == Some(&helper)),
            (Some(_), _) => false,
            (None, _) => original[from..left.original_position()] == rewritten[at..right.original_position()],
        };
        demand(holds, || {
            format!("the instruction at offset {from} has become {replaced:?}")
        })?;
    }
    demand(left.eof() && right.eof(), || "it has another length".into())
}

#[cfg(test)]
mod tests;
