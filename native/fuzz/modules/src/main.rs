//! Modules into admission: verify, rewrite, prove. Nothing panics, and what is admitted keeps to the rules, as somebody
//! reads them who has not seen how the rewriter and the prover do it.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

mod judge;
mod sections;

/// The sources of admission itself: without the engine, which takes minutes to compile and is not asked here.
#[path = "../../../wasmtime/src"]
#[allow(dead_code)]
mod admission {
    pub mod abi;
    pub mod admit;
    pub mod features;
    pub mod helpers;
    pub mod limits;
    pub mod offset_map;
    pub mod prove;
    pub mod report;
    pub mod rewrite;
    pub mod text;
    pub mod verify;
    pub mod work;
}
use admission::{abi, features, helpers, limits, offset_map, prove, report, rewrite, text, verify, work};

fuzz_target!(|module: &[u8]| judge::judge(module));

// Half of the time a section or a function's body changes, and the lengths around it with it: bytes that change anywhere
// seldom get beyond the parser.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 2 == 0
        && let Some(changed) = sections::mutate(&data[..size], max_size, seed, fuzzer_mutate)
    {
        data[..changed.len()].copy_from_slice(&changed);
        return changed.len();
    }
    fuzzer_mutate(data, size, max_size)
});
