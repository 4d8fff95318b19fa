//! An estimate of what one function costs to compile, in steps.
//!
//! Most of a compiler is linear in the instructions. What is not is liveness: at each boundary of a basic block every
//! local and every operand may be live, and is then looked at. A body of some kilobytes can hold thousands of both, so
//! their product is what must be bounded; so must what a branch or a call carries, because block types are shared.
//!
//! The worst are loops. Each local that a loop assigns is a value that comes around at its header, and one that nested
//! loops assign comes around at each of them: 200 locals in 200 nested loops are 3 KB of code that Cranelift needs
//! 12 seconds for. The cost was measured to follow the number of such values times the depth of their loops. Loops in a
//! row, and blocks in a row that carry many values, cost the square of their number.

use crate::limits::AdmitLimits;
use wasmparser::{BlockType, FuncValidator, Operator, WasmModuleResources};

/// How many values a function or block takes and leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arity {
    pub params: u32,
    pub results: u32,
}

/// Steps for one value at one loop header, for each loop around it. Measured: 1 to 22 us, where a step is 0.1 to 1 us.
const LOOP_VALUE_STEPS: u64 = 40;

/// Steps of a loop for each loop before it. Measured: 0.5 to 1.7 us.
const EARLIER_LOOP_STEPS: u64 = 2;

/// A value that a branch or block carries costs a step more for this many blocks before it. Measured: 0.2 s CPU for
/// 1,000 blocks of 16 values, 2.1 s for 4,000.
const BLOCKS_PER_CARRIED_STEP: u64 = 256;

/// What was counted in one function so far.
#[derive(Default)]
pub struct FunctionWork {
    /// Basic blocks.
    pub blocks: u64,
    /// Steps.
    pub steps: u64,
    /// What is open: None for a block or an if, the locals assigned so far for a loop.
    frames: Vec<Option<LocalSet>>,
    /// Loops that are open.
    depth: u64,
    /// Loops that were opened.
    loops: u64,
}

/// A set of locals, one bit each.
#[derive(Default)]
struct LocalSet {
    words: Vec<u64>,
}

impl LocalSet {
    fn insert(&mut self, local: u32) {
        let word = local as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (local % 64);
    }

    fn insert_all(&mut self, other: &LocalSet) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// The arities of the module's types and functions.
#[derive(Default)]
pub struct Arities {
    pub types: Vec<Arity>,
    /// Type index of each function, the imported ones first.
    pub functions: Vec<u32>,
}

impl Arities {
    fn of_type(&self, index: u32) -> Arity {
        self.types.get(index as usize).copied().unwrap_or_default()
    }

    fn of_function(&self, index: u32) -> Arity {
        match self.functions.get(index as usize) {
            Some(ty) => self.of_type(*ty),
            None => Arity::default(),
        }
    }

    fn of_block(&self, ty: BlockType) -> Arity {
        match ty {
            BlockType::Empty => Arity::default(),
            BlockType::Type(_) => Arity { params: 0, results: 1 },
            BlockType::FuncType(index) => self.of_type(index),
        }
    }
}

impl FunctionWork {
    /// Counts one instruction, before the validator has seen it.
    pub fn count<R: WasmModuleResources>(
        &mut self,
        operator: &Operator<'_>,
        validator: &FuncValidator<R>,
        arities: &Arities,
    ) {
        self.steps += 1;
        let live = u64::from(validator.len_locals()) + u64::from(validator.operand_stack_height());
        let carried = |depth: u32| -> u64 {
            // A branch to a loop carries its parameters, any other its results; the larger of the two bounds both.
            let frame = validator.get_control_frame(depth as usize);
            let arity = frame.map_or(Arity::default(), |frame| arities.of_block(frame.block_type));
            u64::from(arity.params.max(arity.results))
        };
        match operator {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                let arity = arities.of_block(*blockty);
                self.blocks += 1;
                self.steps += live;
                self.carry(u64::from(arity.params) + u64::from(arity.results));
                let is_loop = matches!(operator, Operator::Loop { .. });
                if is_loop {
                    self.depth += 1;
                    self.steps += u64::from(arity.params) * self.depth * LOOP_VALUE_STEPS;
                    self.steps += self.loops * EARLIER_LOOP_STEPS;
                    self.loops += 1;
                }
                self.frames.push(is_loop.then(LocalSet::default));
            }
            Operator::End => {
                self.blocks += 1;
                self.steps += live;
                self.carry(carried(0));
                // The function's own end has no frame here.
                if let Some(Some(assigned)) = self.frames.pop() {
                    self.steps += assigned.len() * self.depth * LOOP_VALUE_STEPS;
                    self.depth -= 1;
                    if let Some(around) = self.innermost_loop() {
                        around.insert_all(&assigned);
                    }
                }
            }
            Operator::Else | Operator::Return | Operator::Unreachable => {
                self.blocks += 1;
                self.steps += live;
                self.carry(carried(0));
            }
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                // The validator has yet to say whether there is such a local.
                if *local_index < validator.len_locals()
                    && let Some(around) = self.innermost_loop()
                {
                    around.insert(*local_index);
                }
            }
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                self.blocks += 1;
                self.steps += live;
                self.carry(carried(*relative_depth));
            }
            Operator::BrTable { targets } => {
                let count = u64::from(targets.len()) + 1;
                self.blocks += count;
                self.steps += live + count;
                self.carry(count * carried(targets.default()));
            }
            Operator::Call { function_index } => {
                let arity = arities.of_function(*function_index);
                self.steps += u64::from(arity.params) + u64::from(arity.results);
            }
            Operator::CallIndirect { type_index, .. } => {
                let arity = arities.of_type(*type_index);
                self.steps += u64::from(arity.params) + u64::from(arity.results);
            }
            _ => {}
        }
    }

    /// Counts `values` that go over the edge of a block.
    fn carry(&mut self, values: u64) {
        self.steps += values + values * self.blocks / BLOCKS_PER_CARRIED_STEP;
    }

    fn innermost_loop(&mut self) -> Option<&mut LocalSet> {
        if self.depth == 0 {
            return None;
        }
        self.frames.iter_mut().rev().find_map(Option::as_mut)
    }

    /// The limit that is exceeded, if any: rule, what was counted, what is allowed.
    pub fn excess(&self, limits: &AdmitLimits) -> Option<(&'static str, &'static str, u32)> {
        if self.blocks > u64::from(limits.max_blocks) {
            Some(("limit-blocks", "basic blocks", limits.max_blocks))
        } else if self.steps > u64::from(limits.max_function_work) {
            Some((
                "limit-function-work",
                "estimated compilation steps (instructions, values alive at each branch, locals assigned in nested loops)",
                limits.max_function_work,
            ))
        } else {
            None
        }
    }
}
