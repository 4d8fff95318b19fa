//! Second stage of admission: every bulk instruction becomes a call to an appended helper, and the memory gets its
//! final size.
//!
//! Instructions that stay are copied byte for byte; nothing is renumbered, because helpers come after all functions.
//! Sections that stay are copied whole. Of custom sections only function names and producers stay.

use crate::features::FEATURES;
use crate::helpers::Helper;
use crate::offset_map::{OffsetMapBuilder, OffsetPair};
use crate::text::safe_name;
use crate::verify::{FunctionNames, Verified};
use std::collections::BTreeMap;
use wasm_encoder::{
    CustomSection, Encode, MemorySection, MemoryType, Module, NameMap, NameSection, RawSection, SectionId, TableSection,
};
use wasmparser::{FunctionBody, Operator, Parser, Payload};

/// A rewritten module.
#[derive(Debug)]
pub struct Rewritten {
    pub module: Vec<u8>,
    /// From offsets in `module` to offsets in the original.
    pub offset_map: Vec<OffsetPair>,
}

/// Rewrites `module`, which [`crate::verify::verify`] has passed. An error means that the two disagree.
pub fn rewrite(module: &[u8], verified: &Verified, names: &FunctionNames<'_>) -> Result<Rewritten, String> {
    Rewriter::new(module, verified, names)?.run()
}

struct Rewriter<'a> {
    original: &'a [u8],
    verified: &'a Verified,
    names: &'a FunctionNames<'a>,
    /// Type index of every helper: one beyond the module's own types.
    helper_type: u32,
    /// Functions of the original module, imported and defined.
    functions: u32,
    /// Function index of each helper.
    helpers: BTreeMap<Helper, u32>,
    output: Module,
    /// Function bodies of the original, gathered until the last one is there.
    bodies: Vec<FunctionBody<'a>>,
    bodies_expected: u32,
    offset_map: Vec<OffsetPair>,
    producers: Option<&'a [u8]>,
}

type Outcome<T> = Result<T, String>;

impl<'a> Rewriter<'a> {
    fn new(original: &'a [u8], verified: &'a Verified, names: &'a FunctionNames<'a>) -> Outcome<Rewriter<'a>> {
        let mut types = 0;
        let mut functions = 0;
        for payload in parse(original) {
            match payload.map_err(broken)? {
                Payload::TypeSection(section) => types = section.count(),
                Payload::ImportSection(section) => functions += section.count(),
                Payload::FunctionSection(section) => functions += section.count(),
                _ => {}
            }
        }
        let helpers = verified.helpers.iter().copied().zip(functions..).collect();
        Ok(Rewriter {
            original,
            verified,
            names,
            helper_type: types,
            functions,
            helpers,
            output: Module::new(),
            bodies: Vec::new(),
            bodies_expected: 0,
            offset_map: Vec::new(),
            producers: None,
        })
    }

    fn run(mut self) -> Outcome<Rewritten> {
        let no_function_names = self.helpers.is_empty() && self.names.is_empty();
        for payload in parse(self.original) {
            let payload = payload.map_err(broken)?;
            self.payload(payload)?;
        }
        if !no_function_names {
            self.name_section();
        }
        if let Some(data) = self.producers {
            self.output.section(&CustomSection {
                name: "producers".into(),
                data: data.into(),
            });
        }
        Ok(Rewritten {
            module: self.output.finish(),
            offset_map: self.offset_map,
        })
    }

    fn payload(&mut self, payload: Payload<'a>) -> Outcome<()> {
        match payload {
            Payload::Version { .. } | Payload::End(_) => {}
            Payload::TypeSection(section) => {
                let range = section.range();
                let mut appended = Vec::new();
                if !self.helpers.is_empty() {
                    // (i32, i32, i32) -> (): what all three bulk instructions take.
                    appended.extend([0x60, 3, 0x7f, 0x7f, 0x7f, 0]);
                }
                let added = u32::from(!self.helpers.is_empty());
                self.extended(SectionId::Type, range, section.count(), added, &appended)?;
            }
            Payload::FunctionSection(section) => {
                let mut appended = Vec::new();
                for _ in &self.helpers {
                    self.helper_type.encode(&mut appended);
                }
                let added = self.helpers.len() as u32;
                let range = section.range();
                self.extended(SectionId::Function, range, section.count(), added, &appended)?;
            }
            Payload::TableSection(section) => {
                let mut tables = TableSection::new();
                for table in section {
                    let ty = table.map_err(broken)?.ty;
                    tables.table(wasm_encoder::TableType {
                        element_type: wasm_encoder::RefType::FUNCREF,
                        table64: false,
                        minimum: ty.initial,
                        maximum: Some(ty.maximum.unwrap_or(ty.initial)),
                        shared: false,
                    });
                }
                self.output.section(&tables);
            }
            Payload::MemorySection(_) => {
                let pages = u64::from(self.verified.memory_pages);
                let mut memories = MemorySection::new();
                memories.memory(MemoryType {
                    minimum: pages,
                    maximum: Some(pages),
                    memory64: false,
                    shared: false,
                    page_size_log2: None,
                });
                self.output.section(&memories);
            }
            Payload::ImportSection(section) => self.copied(SectionId::Import, section.range()),
            Payload::GlobalSection(section) => self.copied(SectionId::Global, section.range()),
            Payload::ExportSection(section) => self.copied(SectionId::Export, section.range()),
            Payload::ElementSection(section) => self.copied(SectionId::Element, section.range()),
            Payload::DataSection(section) => self.copied(SectionId::Data, section.range()),
            Payload::DataCountSection { range, .. } => self.copied(SectionId::DataCount, range),
            Payload::CodeSectionStart { count, .. } => {
                self.bodies_expected = count;
                self.code_section_if_complete()?;
            }
            Payload::CodeSectionEntry(body) => {
                self.bodies.push(body);
                self.code_section_if_complete()?;
            }
            Payload::CustomSection(section) => {
                if section.name() == "producers" && self.producers.is_none() {
                    self.producers = Some(section.data());
                }
            }
            _ => return Err("a section that verification does not admit".into()),
        }
        Ok(())
    }

    fn copied(&mut self, id: SectionId, range: std::ops::Range<usize>) {
        self.output.section(&RawSection {
            id: id as u8,
            data: &self.original[range],
        });
    }

    /// A section of `count` items, with `added` more encoded in `appended`.
    fn extended(
        &mut self,
        id: SectionId,
        range: std::ops::Range<usize>,
        count: u32,
        added: u32,
        appended: &[u8],
    ) -> Outcome<()> {
        let mut reader = wasmparser::BinaryReader::new(&self.original[range.clone()], range.start);
        reader.read_var_u32().map_err(broken)?;
        let mut data = Vec::with_capacity(range.len() + appended.len() + 5);
        (count + added).encode(&mut data);
        data.extend_from_slice(&self.original[reader.original_position()..range.end]);
        data.extend_from_slice(appended);
        self.output.section(&RawSection {
            id: id as u8,
            data: &data,
        });
        Ok(())
    }

    fn code_section_if_complete(&mut self) -> Outcome<()> {
        if self.bodies.len() != self.bodies_expected as usize {
            return Ok(());
        }
        // Offsets within the section's content, until its own place is known.
        let mut map = OffsetMapBuilder::default();
        let mut content = Vec::new();
        (self.bodies_expected + self.helpers.len() as u32).encode(&mut content);
        for body in std::mem::take(&mut self.bodies) {
            self.body(&body, &mut content, &mut map)?;
        }
        map.end(content.len() as u32);
        for helper in self.helpers.keys() {
            helper.body(self.verified.memory_pages).encode(&mut content);
        }
        let mut length = Vec::new();
        content.len().encode(&mut length);
        let start = (self.output.len() + 1 + length.len()) as u32;
        self.offset_map = map.finish();
        for pair in &mut self.offset_map {
            pair.rewritten += start;
        }
        self.output.section(&RawSection {
            id: SectionId::Code as u8,
            data: &content,
        });
        Ok(())
    }

    /// Appends the rewritten `body` to `content`.
    fn body(&self, body: &FunctionBody<'a>, content: &mut Vec<u8>, map: &mut OffsetMapBuilder) -> Outcome<()> {
        let range = body.range();
        let mut code = Vec::with_capacity(range.len());
        // Offsets within `code`, and where the instruction stood.
        let mut places = vec![(0, range.start)];
        let mut copied_to = range.start;
        let mut reader = body.get_operators_reader().map_err(broken)?;
        while !reader.eof() {
            let (operator, offset) = reader.read_with_offset().map_err(broken)?;
            let helper = match operator {
                Operator::MemoryCopy { .. } => Helper::Copy,
                Operator::MemoryFill { .. } => Helper::Fill,
                Operator::MemoryInit { data_index, .. } => Helper::Init(data_index),
                _ => continue,
            };
            let index = self
                .helpers
                .get(&helper)
                .ok_or("a bulk instruction that was not counted")?;
            code.extend_from_slice(&self.original[copied_to..offset]);
            code.push(CALL);
            index.encode(&mut code);
            copied_to = reader.original_position();
            places.push((code.len(), copied_to));
        }
        code.extend_from_slice(&self.original[copied_to..range.end]);
        code.len().encode(content);
        let start = content.len();
        for (rewritten, original) in places {
            map.add((start + rewritten) as u32, original as u32);
        }
        content.extend_from_slice(&code);
        Ok(())
    }

    /// Function names, safe to print, with the helpers' own. The module's other names serve nobody at run time.
    fn name_section(&mut self) {
        let mut map = NameMap::new();
        for index in 0..self.functions {
            if let Some(name) = self.names.get(index) {
                map.append(index, &safe_name(name));
            }
        }
        for (helper, index) in &self.helpers {
            map.append(*index, &helper.name());
        }
        let mut section = NameSection::new();
        section.functions(&map);
        self.output.section(&section);
    }
}

const CALL: u8 = 0x10;

fn parse(module: &[u8]) -> impl Iterator<Item = wasmparser::Result<Payload<'_>>> {
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    parser.parse_all(module)
}

fn broken(error: wasmparser::Error) -> String {
    format!("what was verified cannot be read again: {error}")
}

#[cfg(test)]
mod tests;
