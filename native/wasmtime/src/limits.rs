//! How large a module may be. Each bound keeps one of verification, compilation or instantiation short, whoever wrote
//! the module.

/// Default of [`AdmitLimits::memory_pages`]: 64 MiB.
pub const DEFAULT_MEMORY_PAGES: u32 = 1024;
/// Default of [`AdmitLimits::max_module_bytes`]: 8 MiB.
pub const DEFAULT_MAX_MODULE_BYTES: u32 = 8 << 20;
/// Default of [`AdmitLimits::max_custom_bytes`]: 4 MiB.
pub const DEFAULT_MAX_CUSTOM_BYTES: u32 = 4 << 20;
/// Default of [`AdmitLimits::max_types`].
pub const DEFAULT_MAX_TYPES: u32 = 4096;
/// Default of [`AdmitLimits::max_params`].
pub const DEFAULT_MAX_PARAMS: u32 = 64;
/// Default of [`AdmitLimits::max_results`].
pub const DEFAULT_MAX_RESULTS: u32 = 16;
/// Default of [`AdmitLimits::max_imports`].
pub const DEFAULT_MAX_IMPORTS: u32 = 64;
/// Default of [`AdmitLimits::max_exports`].
pub const DEFAULT_MAX_EXPORTS: u32 = 1024;
/// Default of [`AdmitLimits::max_functions`].
pub const DEFAULT_MAX_FUNCTIONS: u32 = 20_000;
/// Default of [`AdmitLimits::max_globals`].
pub const DEFAULT_MAX_GLOBALS: u32 = 4096;
/// Default of [`AdmitLimits::max_table_elements`].
pub const DEFAULT_MAX_TABLE_ELEMENTS: u32 = 65_536;
/// Default of [`AdmitLimits::max_element_segments`].
pub const DEFAULT_MAX_ELEMENT_SEGMENTS: u32 = 1024;
/// Default of [`AdmitLimits::max_data_segments`].
pub const DEFAULT_MAX_DATA_SEGMENTS: u32 = 16_384;
/// Default of [`AdmitLimits::max_passive_bytes`]: 1 MiB.
pub const DEFAULT_MAX_PASSIVE_BYTES: u32 = 1 << 20;
/// Default of [`AdmitLimits::max_init_segments`].
pub const DEFAULT_MAX_INIT_SEGMENTS: u32 = 256;
/// Default of [`AdmitLimits::max_body_bytes`]: 128 KiB.
pub const DEFAULT_MAX_BODY_BYTES: u32 = 128 << 10;
/// Default of [`AdmitLimits::max_locals`].
pub const DEFAULT_MAX_LOCALS: u32 = 4096;
/// Default of [`AdmitLimits::max_nesting`].
pub const DEFAULT_MAX_NESTING: u32 = 1024;
/// Default of [`AdmitLimits::max_blocks`].
pub const DEFAULT_MAX_BLOCKS: u32 = 16_384;
/// Default of [`AdmitLimits::max_branch_targets`].
pub const DEFAULT_MAX_BRANCH_TARGETS: u32 = 4096;
/// Default of [`AdmitLimits::max_function_work`].
pub const DEFAULT_MAX_FUNCTION_WORK: u32 = 4_000_000;
/// Default of [`AdmitLimits::max_module_work`].
pub const DEFAULT_MAX_MODULE_WORK: u32 = 40_000_000;

macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident = $default:ident,)*) => {
        /// What a host allows one module. A zero in any field stands for the field's default.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct AdmitLimits {
            $($(#[$doc])* pub $field: u32,)*
        }

        impl AdmitLimits {
            /// The same limits with every zero replaced by its default.
            pub fn resolved(self) -> AdmitLimits {
                AdmitLimits {
                    $($field: if self.$field == 0 { $default } else { self.$field },)*
                }
            }
        }

        #[cfg(test)]
        const FIELDS: &[(&str, u32)] = &[$((stringify!($field), $default),)*];
    };
}

limits! {
    /// The whole linear memory, 64 KiB pages, with everything below the module's own base. At most 65,536.
    memory_pages = DEFAULT_MEMORY_PAGES,
    /// The module, bytes.
    max_module_bytes = DEFAULT_MAX_MODULE_BYTES,
    /// All custom sections together (names, debug information), bytes.
    max_custom_bytes = DEFAULT_MAX_CUSTOM_BYTES,
    max_types = DEFAULT_MAX_TYPES,
    /// Parameters of one function or block type.
    max_params = DEFAULT_MAX_PARAMS,
    /// Results of one function or block type.
    max_results = DEFAULT_MAX_RESULTS,
    max_imports = DEFAULT_MAX_IMPORTS,
    max_exports = DEFAULT_MAX_EXPORTS,
    max_functions = DEFAULT_MAX_FUNCTIONS,
    max_globals = DEFAULT_MAX_GLOBALS,
    /// The table's size and its maximum, elements.
    max_table_elements = DEFAULT_MAX_TABLE_ELEMENTS,
    max_element_segments = DEFAULT_MAX_ELEMENT_SEGMENTS,
    max_data_segments = DEFAULT_MAX_DATA_SEGMENTS,
    /// All passive data segments together, bytes.
    max_passive_bytes = DEFAULT_MAX_PASSIVE_BYTES,
    /// Data segments that memory.init names: each of them costs a helper function.
    max_init_segments = DEFAULT_MAX_INIT_SEGMENTS,
    /// One function's body, bytes.
    max_body_bytes = DEFAULT_MAX_BODY_BYTES,
    /// One function's parameters and locals.
    max_locals = DEFAULT_MAX_LOCALS,
    /// How deep blocks may be nested in one function.
    max_nesting = DEFAULT_MAX_NESTING,
    /// One function's basic blocks, counted as its structured and branching instructions.
    max_blocks = DEFAULT_MAX_BLOCKS,
    /// Targets of one br_table.
    max_branch_targets = DEFAULT_MAX_BRANCH_TARGETS,
    /// One function's estimated cost of compilation (see `work.rs`).
    max_function_work = DEFAULT_MAX_FUNCTION_WORK,
    /// The sum of that over all functions.
    max_module_work = DEFAULT_MAX_MODULE_WORK,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_stands_for_the_default() {
        let limits = AdmitLimits {
            max_locals: 7,
            ..AdmitLimits::default()
        }
        .resolved();
        assert_eq!(limits.max_locals, 7);
        assert_eq!(limits.max_functions, DEFAULT_MAX_FUNCTIONS);
        assert_eq!(limits.memory_pages, DEFAULT_MEMORY_PAGES);
    }

    /// The header is written by hand: same fields in the same order, same defaults.
    #[test]
    fn header_has_the_same_fields_and_defaults() {
        let header = include_str!("../include/weir_engine.h");
        let body = header
            .split("typedef struct weir_admit_limits {")
            .nth(1)
            .and_then(|rest| rest.split("} weir_admit_limits;").next())
            .unwrap();
        let declared: Vec<&str> = body
            .lines()
            .filter_map(|line| line.trim().strip_prefix("uint32_t "))
            .map(|line| line.split(';').next().unwrap())
            .collect();
        let fields: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        assert_eq!(declared, fields);
        for (name, value) in FIELDS {
            let define = format!("#define WEIR_DEFAULT_{} {value}u\n", name.to_uppercase());
            assert!(header.contains(&define), "{define}");
        }
    }
}
