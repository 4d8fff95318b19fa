//! First stage of admission: is this module valid, and does it keep to weir's rules?
//!
//! Everything that is wrong is reported, not only the first thing, as far as the module can still be read.

mod body;
mod module;
mod names;

use crate::features::{FEATURES, RefusedFeature, needed_feature, refused_feature};
use crate::helpers::Helper;
use crate::limits::AdmitLimits;
use crate::report::{Finding, Report};
use module::ModuleCheck;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use wasmparser::{Parser, Payload, Validator};

pub use names::FunctionNames;

/// What the later stages need to know about a module that kept to every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Size of the rewritten memory, 64 KiB pages.
    pub memory_pages: u32,
    /// The helpers that the module's bulk instructions need, in the order in which they are appended.
    pub helpers: BTreeSet<Helper>,
}

/// Checks `module` against the features, the contract and `limits` (resolved). Errors go to `report`; the result is
/// None if there is any.
pub fn verify(module: &[u8], limits: &AdmitLimits, report: &mut Report) -> Option<Verified> {
    if let Some(finding) = check_preamble(module, limits) {
        report.refuse(finding);
        return None;
    }
    let names = FunctionNames::read(module, report);
    let diagnosis = Diagnosis::new(module);
    let mut check = ModuleCheck::new(limits, &names, &diagnosis, report);
    let mut validator = Validator::new_with_features(FEATURES);
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    // After an error outside a function body the validator's state says nothing about what follows; our own rules go on.
    let mut validating = true;
    for payload in parser.parse_all(module) {
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                if validating {
                    check.report.refuse(diagnosis.finding(&error, "module"));
                }
                break;
            }
        };
        let section = section_name(&payload);
        check.payload(&payload);
        if !validating || check.is_hopeless() {
            continue;
        }
        match validator.payload(&payload) {
            Ok(wasmparser::ValidPayload::Func(function, body)) => {
                check.body(function, &body);
            }
            Ok(_) => {}
            Err(error) => {
                validating = false;
                check.report.refuse(diagnosis.finding(&error, section));
            }
        }
    }
    check.finish()
}

/// What can be said before anything is parsed.
fn check_preamble(module: &[u8], limits: &AdmitLimits) -> Option<Finding> {
    const BUILD_A_MODULE: &str = "deploy the .wasm file that the compiler has written";
    if module.len() > limits.max_module_bytes as usize {
        return Some(Finding::new(
            "limit-module-bytes",
            "module",
            format!(
                "the module has {} bytes; at most {} are allowed",
                module.len(),
                limits.max_module_bytes
            ),
            "strip debug information and unused code (asc: no --debug; wasm-opt -Oz --strip-debug)",
        ));
    }
    let Some((magic, rest)) = module.split_first_chunk::<4>() else {
        return Some(Finding::new("not-wasm", "module", "this is no WebAssembly module", BUILD_A_MODULE).at(0));
    };
    if magic != b"\0asm" {
        let mend = match module.first() {
            Some(b'(' | b';') => "this looks like the text format: compile it first (wat2wasm)",
            _ => BUILD_A_MODULE,
        };
        return Some(Finding::new("not-wasm", "module", "this is no WebAssembly module", mend).at(0));
    }
    match rest.first_chunk::<4>() {
        Some([1, 0, 0, 0]) => None,
        Some([_, _, 1, 0]) => Some(
            Finding::new(
                "component",
                "module",
                "this is a WebAssembly component, not a core module",
                "build a core module (rustc: target wasm32-unknown-unknown; wasm-tools: do not run component new)",
            )
            .at(4),
        ),
        version => Some(
            Finding::new(
                "wasm-version",
                "module",
                match version {
                    Some(bytes) => format!("WebAssembly version {:#x} is not known", u32::from_le_bytes(*bytes)),
                    None => "the module ends within its version".to_string(),
                },
                "build for WebAssembly version 1",
            )
            .at(4),
        ),
    }
}

/// Turns errors of the parser and the validator into findings.
struct Diagnosis<'a> {
    module: &'a [u8],
    /// What the whole module needs: costs several validations, so it is found out once.
    needed: OnceCell<Option<&'static RefusedFeature>>,
}

impl<'a> Diagnosis<'a> {
    fn new(module: &'a [u8]) -> Diagnosis<'a> {
        Diagnosis {
            module,
            needed: OnceCell::new(),
        }
    }

    /// The finding for `error`: a refused feature by name where it is one.
    fn finding(&self, error: &wasmparser::Error, section: &'static str) -> Finding {
        let feature = error
            .missing_wasm_feature()
            .and_then(refused_feature)
            .or_else(|| *self.needed.get_or_init(|| needed_feature(self.module)));
        match feature {
            Some(feature) => Finding::new(
                feature.rule,
                section,
                format!("the module uses {}: {}", feature.title, error.message()),
                feature.mend,
            ),
            None => Finding::new(
                "invalid",
                section,
                format!("the module is not valid WebAssembly: {}", error.message()),
                "the file is damaged or the compiler has a fault: build it again and check it with wasm-validate",
            ),
        }
        .at(error.offset())
    }
}

fn section_name(payload: &Payload<'_>) -> &'static str {
    match payload {
        Payload::TypeSection(_) => "type",
        Payload::ImportSection(_) => "import",
        Payload::FunctionSection(_) => "function",
        Payload::TableSection(_) => "table",
        Payload::MemorySection(_) => "memory",
        Payload::TagSection(_) => "tag",
        Payload::GlobalSection(_) => "global",
        Payload::ExportSection(_) => "export",
        Payload::StartSection { .. } => "start",
        Payload::ElementSection(_) => "element",
        Payload::DataCountSection { .. } => "data count",
        Payload::DataSection(_) => "data",
        Payload::CodeSectionStart { .. } | Payload::CodeSectionEntry(_) => "code",
        Payload::CustomSection(_) => "custom",
        _ => "module",
    }
}

#[cfg(test)]
mod tests;
