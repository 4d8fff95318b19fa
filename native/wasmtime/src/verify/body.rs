//! One function body: validation, bulk instructions, and what it costs to compile.

use crate::features::FEATURES;
use crate::helpers::Helper;
use crate::limits::AdmitLimits;
use crate::report::BulkCounts;
use crate::work::{Arities, FunctionWork};
use std::collections::BTreeSet;
use wasmparser::{
    FuncToValidate, FuncValidatorAllocations, FunctionBody, Operator, OperatorsReader, ValidatorResources,
};

/// Why a body is refused.
pub enum BodyError {
    Invalid(wasmparser::Error),
    Limit {
        rule: &'static str,
        message: String,
        offset: usize,
    },
}

impl From<wasmparser::Error> for BodyError {
    fn from(error: wasmparser::Error) -> BodyError {
        BodyError::Invalid(error)
    }
}

/// What the bodies of one module have in common, and what they add up to.
#[derive(Default)]
pub struct Bodies {
    pub arities: Arities,
    pub helpers: BTreeSet<Helper>,
    pub bulk: BulkCounts,
    /// Steps of all functions, see [`FunctionWork`].
    pub steps: u64,
    allocations: FuncValidatorAllocations,
}

impl Bodies {
    /// Validates `body` and counts it.
    pub fn check(
        &mut self,
        function: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'_>,
        limits: &AdmitLimits,
    ) -> Result<(), BodyError> {
        let range = body.range();
        if range.len() > limits.max_body_bytes as usize {
            return Err(BodyError::Limit {
                rule: "limit-body-bytes",
                message: format!(
                    "the function has {} bytes; at most {} are allowed",
                    range.len(),
                    limits.max_body_bytes
                ),
                offset: range.start,
            });
        }
        let mut validator = function.into_validator(std::mem::take(&mut self.allocations));
        let mut reader = body.get_binary_reader();
        reader.set_features(FEATURES);
        validator.read_locals(&mut reader)?;
        if validator.len_locals() > limits.max_locals {
            return Err(BodyError::Limit {
                rule: "limit-locals",
                message: format!(
                    "the function has {} parameters and locals; at most {} are allowed",
                    validator.len_locals(),
                    limits.max_locals
                ),
                offset: range.start,
            });
        }
        let mut work = FunctionWork::default();
        let mut operators = OperatorsReader::new(reader);
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            self.count_bulk(&operator);
            if let Operator::BrTable { targets } = &operator
                && targets.len() > limits.max_branch_targets
            {
                return Err(BodyError::Limit {
                    rule: "limit-branch-targets",
                    message: format!(
                        "a br_table has {} targets; at most {} are allowed",
                        targets.len(),
                        limits.max_branch_targets
                    ),
                    offset,
                });
            }
            work.count(&operator, &validator, &self.arities);
            validator.op(offset, &operator)?;
            if validator.control_stack_height() > limits.max_nesting {
                return Err(BodyError::Limit {
                    rule: "limit-nesting",
                    message: format!("blocks are nested deeper than {}", limits.max_nesting),
                    offset,
                });
            }
            if let Some((rule, what, limit)) = work.excess(limits) {
                return Err(BodyError::Limit {
                    rule,
                    message: format!("the function has more than {limit} {what}"),
                    offset,
                });
            }
        }
        operators.finish()?;
        self.steps += work.steps;
        self.allocations = validator.into_allocations();
        Ok(())
    }

    fn count_bulk(&mut self, operator: &Operator<'_>) {
        let (helper, count) = match operator {
            Operator::MemoryCopy { .. } => (Helper::Copy, &mut self.bulk.copy),
            Operator::MemoryFill { .. } => (Helper::Fill, &mut self.bulk.fill),
            Operator::MemoryInit { data_index, .. } => (Helper::Init(*data_index), &mut self.bulk.init),
            _ => return,
        };
        *count += 1;
        self.helpers.insert(helper);
    }
}
