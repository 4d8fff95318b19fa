//! What admission tells the author of a module, as JSON.

use crate::text::{safe_name, safe_text};
use serde_json::{Value, json};

/// At most this many errors are listed.
pub const MAX_ERRORS: usize = 20;

/// At most this many warnings are listed.
pub const MAX_WARNINGS: usize = 20;

/// Why a module is refused: which rule, where, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    /// The section, as the specification calls it.
    pub section: &'static str,
    /// Index of the function, counted with the imported ones.
    pub function: Option<u32>,
    /// Its name, where the name section has one.
    pub function_name: Option<String>,
    /// Bytes from the start of the module.
    pub offset: Option<usize>,
    pub message: String,
    pub mend: String,
}

impl Finding {
    pub fn new(rule: &'static str, section: &'static str, message: impl AsRef<str>, mend: impl AsRef<str>) -> Finding {
        Finding {
            rule,
            section,
            function: None,
            function_name: None,
            offset: None,
            message: safe_text(message.as_ref()),
            mend: safe_text(mend.as_ref()),
        }
    }

    /// The same finding, at `offset` bytes from the start of the module.
    pub fn at(mut self, offset: usize) -> Finding {
        self.offset = Some(offset);
        self
    }

    /// The same finding, in this function.
    pub fn in_function(mut self, index: u32, name: Option<&str>) -> Finding {
        self.function = Some(index);
        self.function_name = name.map(safe_name);
        self
    }

    fn json(&self) -> Value {
        json!({
            "rule": self.rule,
            "section": self.section,
            "function": self.function,
            "functionName": self.function_name,
            "offset": self.offset,
            "message": self.message,
            "mend": self.mend,
        })
    }
}

/// How many bulk instructions were rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkCounts {
    pub copy: u32,
    pub fill: u32,
    pub init: u32,
}

/// Everything that admission found out about one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub errors: Vec<Finding>,
    /// Errors found beyond [`MAX_ERRORS`].
    pub errors_left_out: usize,
    pub warnings: Vec<String>,
    /// The contract version that the module states.
    pub abi: Option<i32>,
    /// What the rewritten module's memory has, 64 KiB pages.
    pub memory_pages: u32,
    /// Functions that the module defines.
    pub functions: u32,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// End of the highest active data segment, an address.
    pub data_end: u64,
    pub bulk: BulkCounts,
    pub source_mapping_url: Option<String>,
}

impl Report {
    /// Adds an error; beyond [`MAX_ERRORS`] they are counted only.
    pub fn refuse(&mut self, finding: Finding) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(finding);
        } else {
            self.errors_left_out += 1;
        }
    }

    /// Adds a warning, unless there are [`MAX_WARNINGS`] already.
    pub fn warn(&mut self, message: impl AsRef<str>) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(safe_text(message.as_ref()));
        }
    }

    /// No rule was broken so far.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// The report as one JSON object.
    pub fn json(&self) -> String {
        json!({
            "admitted": self.is_clean(),
            "errors": self.errors.iter().map(Finding::json).collect::<Vec<_>>(),
            "errorsLeftOut": self.errors_left_out,
            "warnings": self.warnings,
            "abi": self.abi,
            "memoryPages": self.memory_pages,
            "functions": self.functions,
            "imports": self.imports,
            "exports": self.exports,
            "dataEnd": self.data_end,
            "bulk": { "copy": self.bulk.copy, "fill": self.bulk.fill, "init": self.bulk.init },
            "sourceMappingUrl": self.source_mapping_url,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_every_field() {
        let mut report = Report::default();
        report.refuse(
            Finding::new("a-rule", "code", "bad\nthing", "mend it")
                .at(7)
                .in_function(3, Some("f\u{1b}")),
        );
        report.warn("careful");
        let value: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(value["admitted"], false);
        let error = &value["errors"][0];
        assert_eq!(error["rule"], "a-rule");
        assert_eq!(error["function"], 3);
        assert_eq!(error["functionName"], "f\\u{1b}");
        assert_eq!(error["offset"], 7);
        assert_eq!(error["message"], "bad\\u{a}thing");
        assert_eq!(value["warnings"][0], "careful");
        assert_eq!(value["bulk"], json!({"copy": 0, "fill": 0, "init": 0}));
        assert_eq!(value["abi"], Value::Null);
        assert_eq!(value["sourceMappingUrl"], Value::Null);
    }

    #[test]
    fn errors_and_warnings_are_bounded() {
        let mut report = Report::default();
        for _ in 0..MAX_ERRORS + 5 {
            report.refuse(Finding::new("r", "code", "m", "m"));
            report.warn("w");
        }
        assert_eq!(report.errors.len(), MAX_ERRORS);
        assert_eq!(report.errors_left_out, 5);
        assert_eq!(report.warnings.len(), MAX_WARNINGS);
    }
}
