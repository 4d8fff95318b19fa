//! The whole of admission: verify, rewrite, prove.

use crate::limits::AdmitLimits;
use crate::offset_map::OffsetPair;
use crate::prove::prove;
use crate::report::{Finding, Report};
use crate::rewrite::{Rewritten, rewrite};
use crate::verify::{FunctionNames, verify};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What came out of admission.
pub struct Admission {
    /// The module to compile; None if it was refused.
    pub module: Option<Vec<u8>>,
    pub offset_map: Vec<OffsetPair>,
    pub report: Report,
}

impl Admission {
    /// The module may run.
    pub fn is_admitted(&self) -> bool {
        self.module.is_some()
    }
}

/// Admits or refuses `module`. Never panics: a fault of ours refuses the module (rule `internal`).
pub fn admit(module: &[u8], limits: &AdmitLimits) -> Admission {
    let limits = limits.resolved();
    let mut report = Report::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(module, &limits, &mut report)));
    let rewritten = outcome.unwrap_or_else(|_| {
        report.refuse(Finding::new(
            "internal",
            "module",
            "admission failed on this module",
            "this is a fault of weir, not of the module: report it with the module",
        ));
        None
    });
    match rewritten {
        Some(rewritten) if report.is_clean() => Admission {
            module: Some(rewritten.module),
            offset_map: rewritten.offset_map,
            report,
        },
        _ => Admission {
            module: None,
            offset_map: Vec::new(),
            report,
        },
    }
}

fn run(module: &[u8], limits: &AdmitLimits, report: &mut Report) -> Option<Rewritten> {
    let verified = verify(module, limits, report)?;
    let names = FunctionNames::read(module, &mut Report::default());
    let proved = rewrite(module, &verified, &names).and_then(|rewritten| {
        prove(module, &rewritten.module, verified.memory_pages)?;
        Ok(rewritten)
    });
    match proved {
        Ok(rewritten) => Some(rewritten),
        Err(what) => {
            report.refuse(Finding::new(
                "proof",
                "module",
                format!("the rewritten module cannot be proved safe: {what}"),
                "this is a fault of weir, not of the module: report it with the module",
            ));
            None
        }
    }
}
