//! The rules for everything outside function bodies: sections, imports, exports, memory, data.

use super::body::{Bodies, BodyError};
use super::names::FunctionNames;
use super::{Diagnosis, Verified};
use crate::abi::{ABI_EXPORT, ABI_VERSION, EXPORTS, IMPORTS, MEMORY_EXPORT, MODULE_BASE, PAGE_BYTES, signature_text};
use crate::helpers::Helper;
use crate::limits::AdmitLimits;
use crate::report::{Finding, Report};
use crate::text::safe_name;
use crate::work::Arity;
use wasmparser::{
    CompositeInnerType, ConstExpr, DataKind, DataSectionReader, Export, ExternalKind, FuncToValidate, FuncType,
    FunctionBody, GlobalSectionReader, Import, ImportSectionReader, MemorySectionReader, MemoryType, Operator, Payload,
    TableSectionReader, TypeRef, TypeSectionReader, ValType, ValidatorResources,
};

const LESS_CODE: &str = "split it, or leave inlining and unrolling to a lower optimization level";
const FEWER_ITEMS: &str = "remove what is not used, or ask the operator for a higher limit";
const MEMORY_BASE: &str = "asc --memoryBase 20971520; wasm-ld --global-base=20971520";

/// What an exported global is known to be.
struct Global {
    content: ValType,
    mutable: bool,
    value: Option<i32>,
    offset: usize,
}

/// Collects what the rules need while the payloads of one module go by.
pub struct ModuleCheck<'a, 'r> {
    limits: &'a AdmitLimits,
    names: &'a FunctionNames<'a>,
    diagnosis: &'a Diagnosis<'a>,
    pub report: &'r mut Report,
    types: Vec<Option<FuncType>>,
    bodies: Bodies,
    /// Imports of anything; only functions are allowed, and only of functions do indices have to be right.
    imported_functions: u32,
    bodies_seen: u32,
    memory: Option<(MemoryType, usize)>,
    memories: u32,
    globals: Vec<Global>,
    exports: Vec<(Export<'a>, usize)>,
    custom_bytes: usize,
    passive_bytes: usize,
    /// A section was too long to be read: rules that need all of it would only add noise.
    unread: bool,
    /// Active segments whose end is known: where they stand in the module, start, end.
    active_segments: Vec<(usize, u64, u64)>,
}

impl<'a, 'r> ModuleCheck<'a, 'r> {
    pub fn new(
        limits: &'a AdmitLimits,
        names: &'a FunctionNames<'a>,
        diagnosis: &'a Diagnosis<'a>,
        report: &'r mut Report,
    ) -> ModuleCheck<'a, 'r> {
        ModuleCheck {
            limits,
            names,
            diagnosis,
            report,
            types: Vec::new(),
            bodies: Bodies::default(),
            imported_functions: 0,
            bodies_seen: 0,
            memory: None,
            memories: 0,
            globals: Vec::new(),
            exports: Vec::new(),
            custom_bytes: 0,
            passive_bytes: 0,
            unread: false,
            active_segments: Vec::new(),
        }
    }

    /// So much is wrong that looking further helps nobody.
    pub fn is_hopeless(&self) -> bool {
        self.report.errors_left_out > 0
    }

    /// Looks at one payload. What cannot be read is left to the validator.
    pub fn payload(&mut self, payload: &Payload<'a>) {
        match payload {
            Payload::TypeSection(section) => self.types(section.clone()),
            Payload::ImportSection(section) => self.imports(section.clone()),
            Payload::FunctionSection(section) => {
                let count = section.count();
                self.report.functions = count;
                let max = self.limits.max_functions;
                if self.within("limit-functions", "function", "functions", count, max) {
                    let indices = section.clone().into_iter().map_while(Result::ok);
                    self.bodies.arities.functions.extend(indices);
                }
            }
            Payload::TableSection(section) => self.tables(section.clone()),
            Payload::MemorySection(section) => self.memories(section.clone()),
            Payload::GlobalSection(section) => self.globals(section.clone()),
            Payload::ExportSection(section) => {
                let count = section.count();
                let max = self.limits.max_exports;
                if self.within("limit-exports", "export", "exports", count, max) {
                    for (offset, export) in section.clone().into_iter_with_offsets().map_while(Result::ok) {
                        self.report.exports.push(safe_name(export.name));
                        self.exports.push((export, offset));
                    }
                }
            }
            Payload::StartSection { func, range } => {
                let finding = Finding::new(
                    "start-section",
                    "start",
                    "the module has a start function, which would run before its memory is in place",
                    "export it instead (asc: --exportStart weir_start)",
                );
                let name = self.names.get(*func);
                self.report.refuse(finding.at(range.start).in_function(*func, name));
            }
            Payload::ElementSection(section) => {
                let max = self.limits.max_element_segments;
                self.within(
                    "limit-element-segments",
                    "element",
                    "element segments",
                    section.count(),
                    max,
                );
            }
            Payload::DataSection(section) => self.data(section.clone()),
            Payload::CustomSection(section) => {
                self.custom_bytes += section.data().len();
                if !matches!(section.name(), "name" | "producers" | "sourceMappingURL") {
                    self.report.warn(format!(
                        "custom section `{}` ({} bytes) is left out",
                        safe_name(section.name()),
                        section.data().len()
                    ));
                }
            }
            _ => {}
        }
    }

    fn within(&mut self, rule: &'static str, section: &'static str, what: &str, count: u32, max: u32) -> bool {
        if count > max {
            self.report.refuse(Finding::new(
                rule,
                section,
                format!("the module has {count} {what}; at most {max} are allowed"),
                FEWER_ITEMS,
            ));
            self.unread = true;
        }
        count <= max
    }

    fn types(&mut self, section: TypeSectionReader<'a>) {
        let max = self.limits.max_types;
        if !self.within("limit-types", "type", "types", section.count(), max) {
            return;
        }
        for (offset, group) in section.into_iter_with_offsets().map_while(Result::ok) {
            for ty in group.into_types() {
                let function = match ty.composite_type.inner {
                    CompositeInnerType::Func(function) => Some(function),
                    _ => None,
                };
                let count = |types: &[ValType]| types.len() as u32;
                let arity = function.as_ref().map_or(Arity::default(), |function| Arity {
                    params: count(function.params()),
                    results: count(function.results()),
                });
                for (rule, what, count, max) in [
                    ("limit-params", "parameters", arity.params, self.limits.max_params),
                    ("limit-results", "results", arity.results, self.limits.max_results),
                ] {
                    if count > max {
                        let index = self.types.len();
                        self.report.refuse(
                            Finding::new(
                                rule,
                                "type",
                                format!("type {index} has {count} {what}; at most {max} are allowed"),
                                "pass them in memory",
                            )
                            .at(offset),
                        );
                    }
                }
                self.types.push(function);
                self.bodies.arities.types.push(arity);
            }
        }
    }

    fn imports(&mut self, section: ImportSectionReader<'a>) {
        let max = self.limits.max_imports;
        if !self.within("limit-imports", "import", "imports", section.count(), max) {
            return;
        }
        for (offset, import) in section.into_imports_with_offsets().map_while(Result::ok) {
            let name = format!("{}.{}", safe_name(import.module), safe_name(import.name));
            if let Some(finding) = self.import_finding(&import, &name) {
                self.report.refuse(finding.at(offset));
            }
            self.report.imports.push(name);
            if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import.ty {
                self.imported_functions += 1;
                self.bodies.arities.functions.push(ty);
            }
        }
    }

    fn import_finding(&self, import: &Import<'a>, name: &str) -> Option<Finding> {
        let TypeRef::Func(ty) = import.ty else {
            let (what, mend) = match import.ty {
                TypeRef::Memory(_) => (
                    "memory",
                    "export the memory instead (asc: no --importMemory; wasm-ld: no --import-memory)",
                ),
                TypeRef::Table(_) => (
                    "table",
                    "define the table (asc: no --importTable; wasm-ld: no --import-table)",
                ),
                TypeRef::Global(_) => ("global", "define the global"),
                _ => ("import of this kind", "remove it"),
            };
            return Some(Finding::new(
                "import-kind",
                "import",
                format!("`{name}` imports a {what}; only functions can be imported"),
                mend,
            ));
        };
        let same_name = |known: &&crate::abi::Signature| known.module == import.module && known.name == import.name;
        let Some(known) = IMPORTS.iter().find(same_name) else {
            let existing: Vec<String> = IMPORTS
                .iter()
                .map(|known| format!("{}.{}", known.module, known.name))
                .collect();
            let advice = if import.module.starts_with("wasi") {
                "weir offers no WASI: build for wasm32-unknown-unknown, or without the WASI shim. "
            } else {
                "remove it or define it in the module. "
            };
            return Some(Finding::new(
                "import-unknown",
                "import",
                format!("there is no `{name}` to import"),
                format!("{advice}These exist: {}", existing.join(", ")),
            ));
        };
        let actual = self.types.get(ty as usize).and_then(Option::as_ref)?;
        if actual.params() == known.params && actual.results() == known.results {
            return None;
        }
        let expected = signature_text(known.params, known.results);
        let stated = signature_text(actual.params(), actual.results());
        Some(Finding::new(
            "import-type",
            "import",
            format!("`{name}` is imported as {stated}; it is {expected}"),
            format!("declare it as {expected}"),
        ))
    }

    fn tables(&mut self, section: TableSectionReader<'a>) {
        let max = u64::from(self.limits.max_table_elements);
        for (offset, table) in section.into_iter_with_offsets().map_while(Result::ok) {
            let size = table.ty.maximum.unwrap_or(table.ty.initial).max(table.ty.initial);
            if size > max {
                self.report.refuse(
                    Finding::new(
                        "limit-table-elements",
                        "table",
                        format!("the table may have {size} elements; at most {max} are allowed"),
                        "state a lower maximum",
                    )
                    .at(offset),
                );
            }
        }
    }

    fn memories(&mut self, section: MemorySectionReader<'a>) {
        for (offset, memory) in section.into_iter_with_offsets().map_while(Result::ok) {
            self.memories += 1;
            self.memory.get_or_insert((memory, offset));
        }
    }

    fn globals(&mut self, section: GlobalSectionReader<'a>) {
        let max = self.limits.max_globals;
        if !self.within("limit-globals", "global", "globals", section.count(), max) {
            return;
        }
        for (offset, global) in section.into_iter_with_offsets().map_while(Result::ok) {
            self.globals.push(Global {
                content: global.ty.content_type,
                mutable: global.ty.mutable,
                value: constant(&global.init_expr),
                offset,
            });
        }
    }

    fn data(&mut self, section: DataSectionReader<'a>) {
        let max = self.limits.max_data_segments;
        if !self.within("limit-data-segments", "data", "data segments", section.count(), max) {
            return;
        }
        for (index, segment) in section.into_iter().map_while(Result::ok).enumerate() {
            let at = segment.range.start;
            let DataKind::Active { offset_expr, .. } = segment.kind else {
                self.passive_bytes += segment.data.len();
                continue;
            };
            let Some(offset) = constant(&offset_expr) else {
                self.report.refuse(
                    Finding::new(
                        "data-offset",
                        "data",
                        format!("the address of data segment {index} is no constant"),
                        "link the module statically (no -shared, no --experimental-pic)",
                    )
                    .at(at),
                );
                continue;
            };
            let start = u64::from(offset as u32);
            let end = start + segment.data.len() as u64;
            self.report.data_end = self.report.data_end.max(end);
            if start < u64::from(MODULE_BASE) {
                self.report.refuse(
                    Finding::new(
                        "data-below-base",
                        "data",
                        format!("data segment {index} lies at {start:#x}; below {MODULE_BASE:#x} is the host's"),
                        MEMORY_BASE,
                    )
                    .at(at),
                );
            } else {
                self.active_segments.push((at, start, end));
            }
        }
        let max = self.limits.max_passive_bytes as usize;
        if self.passive_bytes > max {
            self.report.refuse(Finding::new(
                "limit-passive-bytes",
                "data",
                format!(
                    "passive data segments have {} bytes; at most {max} are allowed",
                    self.passive_bytes
                ),
                "make them active segments, which are placed when the instance starts",
            ));
        }
    }

    /// Validates a function body.
    pub fn body(&mut self, function: FuncToValidate<ValidatorResources>, body: &FunctionBody<'_>) {
        let index = self.imported_functions + self.bodies_seen;
        self.bodies_seen += 1;
        let name = self.names.get(index);
        let finding = match self.bodies.check(function, body, self.limits) {
            Ok(()) => return,
            Err(BodyError::Invalid(error)) => self.diagnosis.finding(&error, "code"),
            Err(BodyError::Limit { rule, message, offset }) => {
                Finding::new(rule, "code", message, LESS_CODE).at(offset)
            }
        };
        self.report.refuse(finding.in_function(index, name));
    }

    /// Applies the rules that need the whole module.
    pub fn finish(mut self) -> Option<Verified> {
        self.report.bulk = self.bodies.bulk;
        if self.unread {
            return None;
        }
        let memory_pages = self.check_memory();
        self.check_abi();
        self.check_functions();
        self.check_totals();
        if !self.report.is_clean() {
            return None;
        }
        Some(Verified {
            memory_pages: memory_pages?,
            helpers: self.bodies.helpers,
        })
    }

    fn check_memory(&mut self) -> Option<u32> {
        if self.memories > 1 {
            self.report.refuse(Finding::new(
                "memory-count",
                "memory",
                format!("the module has {} memories; it must have one", self.memories),
                "use one memory",
            ));
        }
        let exported = self.export(MEMORY_EXPORT);
        match exported {
            Some((ExternalKind::Memory, _, _)) => {}
            Some((_, _, offset)) => self.report.refuse(
                Finding::new(
                    "export-type",
                    "export",
                    "the export `memory` is no memory",
                    "export the memory under this name",
                )
                .at(offset),
            ),
            None => self.report.refuse(Finding::new(
                "export-missing",
                "export",
                "the module does not export `memory`",
                "export the memory that the module defines (asc: no --noExportMemory; wasm-ld: --export-memory)",
            )),
        }
        // That none is defined is told by the missing export, or by the import in its place.
        let (memory, offset) = self.memory?;
        let wanted = u64::from(self.limits.memory_pages).min((4 << 30) / PAGE_BYTES);
        let pages = memory.maximum.map_or(wanted, |maximum| wanted.min(maximum));
        if pages < wanted {
            self.report
                .warn(format!("the module limits its own memory to {pages} of {wanted} pages"));
        }
        self.report.memory_pages = pages as u32;
        let reserved = u64::from(MODULE_BASE) / PAGE_BYTES;
        if memory.initial > wanted {
            self.report.refuse(
                Finding::new(
                    "memory-limit",
                    "memory",
                    format!(
                        "the module needs a memory of {} pages of 64 KiB; its limit is {wanted}",
                        memory.initial
                    ),
                    format!(
                        "raise limits.memory_mib to {} (the host's windows are not counted in it), or use less data",
                        memory.initial.saturating_sub(reserved).div_ceil((1 << 20) / PAGE_BYTES)
                    ),
                )
                .at(offset),
            );
        } else if pages <= reserved {
            self.report.refuse(
                Finding::new(
                    "memory-limit",
                    "memory",
                    format!(
                        "a memory of {pages} pages of 64 KiB leaves nothing to the module: the first {reserved} are the \
                         host's windows"
                    ),
                    format!(
                        "allow at least {} pages (asc: --maximumMemory; limits.memory_mib)",
                        reserved + 1
                    ),
                )
                .at(offset),
            );
        }
        let end_of_memory = pages * PAGE_BYTES;
        for (at, start, end) in std::mem::take(&mut self.active_segments) {
            if end > end_of_memory {
                self.report.refuse(
                    Finding::new(
                        "data-beyond-memory",
                        "data",
                        format!("data from {start:#x} to {end:#x} goes beyond the end of memory, {end_of_memory:#x}"),
                        format!(
                            "raise limits.memory_mib to at least {}, or use less data",
                            end.saturating_sub(u64::from(MODULE_BASE)).div_ceil(1 << 20)
                        ),
                    )
                    .at(at),
                );
            }
        }
        u32::try_from(pages).ok()
    }

    fn check_abi(&mut self) {
        let state_it = format!("export const {ABI_EXPORT}: i32 = {ABI_VERSION} (the SDK does)");
        let Some((kind, index, offset)) = self.export(ABI_EXPORT) else {
            self.report.refuse(Finding::new(
                "export-missing",
                "export",
                format!("the module does not export `{ABI_EXPORT}`, the contract version it was built for"),
                state_it,
            ));
            return;
        };
        let global = match kind {
            ExternalKind::Global => self.globals.get(index as usize),
            _ => None,
        };
        let Some(global) = global else {
            self.report.refuse(
                Finding::new(
                    "export-type",
                    "export",
                    format!("the export `{ABI_EXPORT}` is no global of the module"),
                    state_it,
                )
                .at(offset),
            );
            return;
        };
        let value = match global {
            Global {
                content: ValType::I32,
                mutable: false,
                value: Some(value),
                ..
            } => *value,
            _ => {
                let finding = Finding::new(
                    "export-type",
                    "global",
                    format!("the export `{ABI_EXPORT}` must be an immutable i32 with a constant value"),
                    state_it,
                )
                .at(global.offset);
                self.report.refuse(finding);
                return;
            }
        };
        self.report.abi = Some(value);
        if value != ABI_VERSION {
            let finding = Finding::new(
                "abi-version",
                "global",
                format!("the module was built for contract version {value}; this host has {ABI_VERSION}"),
                "build it with the SDK of this host's release",
            )
            .at(global.offset);
            self.report.refuse(finding);
        }
    }

    fn check_functions(&mut self) {
        for required in EXPORTS {
            let expected = signature_text(required.params, required.results);
            let name = required.name;
            let Some((kind, index, offset)) = self.export(name) else {
                self.report.refuse(Finding::new(
                    "export-missing",
                    "export",
                    format!("the module does not export the function `{name}`"),
                    match name {
                        "weir_start" => "asc --exportStart weir_start".to_string(),
                        _ => format!("export a function `{name}` of type {expected} (the SDK does)"),
                    },
                ));
                continue;
            };
            let ty = match kind {
                ExternalKind::Func => self
                    .bodies
                    .arities
                    .functions
                    .get(index as usize)
                    .and_then(|ty| self.types.get(*ty as usize))
                    .and_then(Option::as_ref),
                _ => None,
            };
            if ty.is_some_and(|ty| ty.params() == required.params && ty.results() == required.results) {
                continue;
            }
            let actual = ty.map_or_else(
                || "something else".to_string(),
                |ty| signature_text(ty.params(), ty.results()),
            );
            let finding = Finding::new(
                "export-type",
                "export",
                format!("the export `{name}` is {actual}; it must be a function {expected}"),
                format!("give it the type {expected}"),
            )
            .at(offset);
            self.report.refuse(match kind {
                ExternalKind::Func => finding.in_function(index, self.names.get(index)),
                _ => finding,
            });
        }
    }

    fn check_totals(&mut self) {
        let max = self.limits.max_custom_bytes as usize;
        if self.custom_bytes > max {
            self.report.refuse(Finding::new(
                "limit-custom-bytes",
                "custom",
                format!(
                    "custom sections have {} bytes; at most {max} are allowed",
                    self.custom_bytes
                ),
                "strip debug information (wasm-opt --strip-debug; rustc: strip = \"debuginfo\")",
            ));
        }
        let is_init = |helper: &&Helper| matches!(helper, Helper::Init(_));
        let inits = self.bodies.helpers.iter().filter(is_init).count() as u32;
        let max = self.limits.max_init_segments;
        self.within(
            "limit-init-segments",
            "code",
            "data segments that memory.init reads",
            inits,
            max,
        );
        let max = u64::from(self.limits.max_module_work);
        if self.bodies.steps > max {
            self.report.refuse(Finding::new(
                "limit-module-work",
                "code",
                format!(
                    "all functions together have {} estimated compilation steps; at most {max} are allowed",
                    self.bodies.steps
                ),
                LESS_CODE,
            ));
        }
    }

    fn export(&self, name: &str) -> Option<(ExternalKind, u32, usize)> {
        self.exports
            .iter()
            .find(|(export, _)| export.name == name)
            .map(|(export, offset)| (export.kind, export.index, *offset))
    }
}

/// The value of a constant expression of i32 without globals: i32.const, and what extended constants add.
fn constant(expression: &ConstExpr<'_>) -> Option<i32> {
    let mut stack: Vec<i32> = Vec::new();
    let mut reader = expression.get_operators_reader();
    while !reader.is_end_then_eof() {
        let operator = reader.read().ok()?;
        if let Operator::I32Const { value } = operator {
            stack.push(value);
            continue;
        }
        let right = stack.pop()?;
        let left = stack.pop()?;
        stack.push(match operator {
            Operator::I32Add => left.wrapping_add(right),
            Operator::I32Sub => left.wrapping_sub(right),
            Operator::I32Mul => left.wrapping_mul(right),
            _ => return None,
        });
    }
    match stack.as_slice() {
        [value] => Some(*value),
        _ => None,
    }
}
