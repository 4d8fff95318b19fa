//! What a module and its host agree on: the part of docs/abi.md that can be checked before a module runs.

use wasmparser::ValType::{self, F64, I32, I64};

/// The contract version that the exported global `weir_abi` must have.
pub const ABI_VERSION: i32 = 1;

/// WebAssembly's page, bytes.
pub const PAGE_BYTES: u64 = 0x1_0000;

/// Addresses below are never mapped: a null pointer traps.
pub const NULL_END: u32 = 0x0020_0000;

/// Start of the read-write window and end of the read-only one. A bulk operation may write from here on; below, holes
/// and read-only pages would fault in host code.
pub const RW_WINDOW: u32 = 0x0120_0000;

/// The module's own data and heap start here.
pub const MODULE_BASE: u32 = 0x0140_0000;

/// The name of the one memory.
pub const MEMORY_EXPORT: &str = "memory";

/// The name of the global that says which contract version a module was built for.
pub const ABI_EXPORT: &str = "weir_abi";

/// A function that a module exports or imports.
pub struct Signature {
    /// Import module; empty for an export.
    pub module: &'static str,
    pub name: &'static str,
    pub params: &'static [ValType],
    pub results: &'static [ValType],
}

const fn function(
    module: &'static str,
    name: &'static str,
    params: &'static [ValType],
    results: &'static [ValType],
) -> Signature {
    Signature {
        module,
        name,
        params,
        results,
    }
}

/// The functions that a module must export.
pub const EXPORTS: &[Signature] = &[
    function("", "weir_start", &[], &[]),
    function("", "weir_poll", &[I32], &[I64]),
];

/// The functions that a module may import.
pub const IMPORTS: &[Signature] = &[
    function("weir", "log", &[I32, I32, I32], &[]),
    function("env", "abort", &[I32, I32, I32, I32], &[]),
    function("env", "trace", &[I32, I32, F64, F64, F64, F64, F64], &[]),
    function("env", "seed", &[], &[F64]),
    function("env", "console.log", &[I32], &[]),
    function("env", "console.debug", &[I32], &[]),
    function("env", "console.info", &[I32], &[]),
    function("env", "console.warn", &[I32], &[]),
    function("env", "console.error", &[I32], &[]),
    function("env", "Date.now", &[], &[F64]),
    function("env", "performance.now", &[], &[F64]),
];

/// `(i32, i32) -> (f64)`, as docs/abi.md writes types.
pub fn signature_text(params: &[ValType], results: &[ValType]) -> String {
    let list = |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("({}) -> ({})", list(params), list(results))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract_page() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/abi.md");
        std::fs::read_to_string(path).expect("docs/abi.md is generated from runtime/abi")
    }

    fn constant(page: &str, name: &str) -> u64 {
        let start = format!("| `{name}` | ");
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or_else(|| panic!("docs/abi.md has no constant {name}"));
        let value = line.split(" |").next().unwrap();
        match value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
            None => value.parse().unwrap(),
        }
    }

    #[test]
    fn constants_are_those_of_the_contract() {
        let page = contract_page();
        assert_eq!(constant(&page, "abi_version"), ABI_VERSION as u64);
        assert_eq!(constant(&page, "page_bytes"), PAGE_BYTES);
        assert_eq!(constant(&page, "null_end"), u64::from(NULL_END));
        assert_eq!(constant(&page, "rw_window"), u64::from(RW_WINDOW));
        assert_eq!(constant(&page, "module_base"), u64::from(MODULE_BASE));
    }

    #[test]
    fn exports_are_those_of_the_contract() {
        let page = contract_page();
        for name in [MEMORY_EXPORT, ABI_EXPORT] {
            assert!(page.contains(&format!("| `{name}` | ")), "{name}");
        }
        assert!(page.contains("| `weir_start` | `() -> ()` |"));
        assert!(page.contains("| `weir_poll` | `(events: i32) -> i64` |"));
        let required = page
            .split("## Exports that a module must have")
            .nth(1)
            .and_then(|rest| rest.split("## ").next())
            .unwrap();
        let rows = required.lines().filter(|line| line.starts_with("| `"));
        assert_eq!(rows.count(), EXPORTS.len() + 2);
    }

    #[test]
    fn imports_are_those_of_the_contract() {
        let page = contract_page();
        let section = page
            .split("## Imports that a module may have")
            .nth(1)
            .and_then(|rest| rest.split("## ").next())
            .unwrap();
        let mut documented = Vec::new();
        for row in section.lines().filter(|line| line.contains(" | `")) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let name = cells[1].trim_matches('`');
            documented.push(format!("{}.{name}", cells[0]));
            if let Some((_, siblings)) = cells[3].split_once("; so are console.") {
                let siblings = siblings.trim_end_matches('.').replace(" and ", ", ");
                let names = siblings.split(", ").map(|name| format!("env.console.{name}"));
                documented.extend(names);
            }
            let import = IMPORTS
                .iter()
                .find(|import| import.module == cells[0] && import.name == name)
                .unwrap_or_else(|| panic!("{row} is not in IMPORTS"));
            let (params, results) = cells[2].trim_matches('`').split_once(" -> ").unwrap();
            let params: Vec<&str> = params
                .trim_matches(|c| c == '(' || c == ')')
                .split(", ")
                .filter(|param| !param.is_empty())
                .flat_map(|param| {
                    let (names, ty) = param.split_once(": ").unwrap();
                    let count = match names {
                        "a0..a4" => 5,
                        _ => 1,
                    };
                    std::iter::repeat_n(ty, count)
                })
                .collect();
            let text = |types: &[ValType]| -> Vec<String> { types.iter().map(ToString::to_string).collect() };
            assert_eq!(params, text(import.params), "{row}");
            let results = results.trim_matches(|c| c == '(' || c == ')');
            assert_eq!(results, text(import.results).join(", "), "{row}");
        }
        let mut known: Vec<String> = IMPORTS
            .iter()
            .map(|import| format!("{}.{}", import.module, import.name))
            .collect();
        documented.sort();
        known.sort();
        assert_eq!(documented, known);
    }
}
