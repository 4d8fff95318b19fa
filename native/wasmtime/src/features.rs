//! The one set of WebAssembly features: what the engine compiles with, and what admission validates with.

use wasmparser::WasmFeatures;

/// LIME1 (mutable globals, multi-value, sign extension, saturating conversions, extended constants, overlong
/// call_indirect), bulk memory and SIMD. Nothing else: without reference types, function references and GC a module
/// cannot reach the code in the engine that aborts the process when it is built without a collector.
pub const FEATURES: WasmFeatures = WasmFeatures::LIME1
    .difference(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD);

/// A feature that is switched off: how reports call it, and how an author gets rid of it.
pub struct RefusedFeature {
    pub flag: WasmFeatures,
    pub rule: &'static str,
    pub title: &'static str,
    pub mend: &'static str,
}

const NO_REFERENCES: &str = "do not enable reference types or garbage collection (asc: leave --enable reference-types, \
    gc and stringref out; clang: -mno-reference-types; rustc: -C target-feature=-reference-types)";

/// Every feature that wasmparser knows beyond [`FEATURES`], most specific first.
pub const REFUSED: &[RefusedFeature] = &[
    refused(
        WasmFeatures::COMPONENT_MODEL,
        "feature-component-model",
        "the component model",
        "build a core module, not a component (rustc: target wasm32-unknown-unknown)",
    ),
    refused(
        WasmFeatures::RELAXED_SIMD,
        "feature-relaxed-simd",
        "relaxed SIMD",
        "use the instructions of fixed-width SIMD (asc: leave --enable relaxed-simd out; clang: -mno-relaxed-simd)",
    ),
    refused(
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "feature-shared-everything-threads",
        "shared-everything threads",
        "build for a single thread",
    ),
    refused(
        WasmFeatures::THREADS,
        "feature-threads",
        "threads and atomics",
        "build for a single thread (asc: leave --enable threads and --sharedMemory out; clang: no -pthread, -mno-atomics)",
    ),
    refused(
        WasmFeatures::TAIL_CALL,
        "feature-tail-call",
        "tail calls",
        "compile without tail calls (clang: -mno-tail-call)",
    ),
    refused(
        WasmFeatures::MULTI_MEMORY,
        "feature-multi-memory",
        "more than one memory",
        "use one memory",
    ),
    refused(
        WasmFeatures::EXCEPTIONS,
        "feature-exceptions",
        "exception handling",
        "compile without exceptions (asc: leave --enable exception-handling out; clang: -fno-exceptions; rustc: panic=abort)",
    ),
    refused(
        WasmFeatures::LEGACY_EXCEPTIONS,
        "feature-legacy-exceptions",
        "legacy exception handling",
        "compile without exceptions (clang: -fno-exceptions)",
    ),
    refused(
        WasmFeatures::MEMORY64,
        "feature-memory64",
        "64-bit memory",
        "build for wasm32",
    ),
    refused(
        WasmFeatures::CUSTOM_PAGE_SIZES,
        "feature-custom-page-sizes",
        "custom page sizes",
        "use pages of 64 KiB",
    ),
    refused(
        WasmFeatures::WIDE_ARITHMETIC,
        "feature-wide-arithmetic",
        "wide arithmetic",
        "compile without wide arithmetic (clang: -mno-wide-arithmetic)",
    ),
    refused(
        WasmFeatures::STACK_SWITCHING,
        "feature-stack-switching",
        "stack switching",
        "compile without stack switching",
    ),
    refused(
        WasmFeatures::MEMORY_CONTROL,
        "feature-memory-control",
        "memory control",
        "compile without memory control",
    ),
    refused(
        WasmFeatures::CUSTOM_DESCRIPTORS,
        "feature-custom-descriptors",
        "custom descriptors",
        NO_REFERENCES,
    ),
    refused(
        WasmFeatures::COMPACT_IMPORTS,
        "feature-compact-imports",
        "compact import sections",
        "use the plain import section",
    ),
    refused(WasmFeatures::GC, "feature-gc", "garbage-collected types", NO_REFERENCES),
    refused(
        WasmFeatures::FUNCTION_REFERENCES,
        "feature-function-references",
        "typed function references",
        NO_REFERENCES,
    ),
    refused(
        WasmFeatures::REFERENCE_TYPES,
        "feature-reference-types",
        "reference types",
        NO_REFERENCES,
    ),
    refused(
        WasmFeatures::GC_TYPES,
        "feature-reference-types",
        "reference types",
        NO_REFERENCES,
    ),
];

const fn refused(flag: WasmFeatures, rule: &'static str, title: &'static str, mend: &'static str) -> RefusedFeature {
    RefusedFeature {
        flag,
        rule,
        title,
        mend,
    }
}

/// The refused feature that `missing` names, where it names one.
pub fn refused_feature(missing: WasmFeatures) -> Option<&'static RefusedFeature> {
    REFUSED.iter().find(|refused| missing.contains(refused.flag))
}

/// Which refused feature a module needs that is invalid under [`FEATURES`]: the first one without which the module is
/// not valid even if everything else is switched on. None where it is not valid at all.
pub fn needed_feature(module: &[u8]) -> Option<&'static RefusedFeature> {
    let everything = WasmFeatures::all();
    let valid = |features| {
        wasmparser::Validator::new_with_features(features)
            .validate_all(module)
            .is_ok()
    };
    if !valid(everything) {
        return None;
    }
    REFUSED
        .iter()
        .find(|refused| !valid(everything.difference(refused.flag.difference(FEATURES))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_is_exactly_what_the_design_names() {
        let mut names: Vec<&str> = FEATURES.iter_names().map(|(name, _)| name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "BULK_MEMORY",
                "CALL_INDIRECT_OVERLONG",
                "EXTENDED_CONST",
                "FLOATS",
                "MULTI_VALUE",
                "MUTABLE_GLOBAL",
                "SATURATING_FLOAT_TO_INT",
                "SIGN_EXTENSION",
                "SIMD",
            ]
        );
    }

    #[test]
    fn every_feature_is_either_on_or_refused_by_name() {
        for (name, flag) in WasmFeatures::all().iter_names() {
            let on = FEATURES.contains(flag);
            let refused = refused_feature(flag).is_some();
            // The features of components can only stand in a component.
            let of_components = name.starts_with("CM") || name == "COMPONENT_MODEL";
            assert!(on != refused || of_components, "{name}");
        }
    }
}
