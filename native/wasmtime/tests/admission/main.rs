//! Whole flows: modules are admitted and then compiled and run.

mod compile_time;
mod engine;
mod examples;
mod holes;
mod mutations;
mod offsets;
mod random;
mod semantics;
#[path = "../../src/testing.rs"]
mod testing;
