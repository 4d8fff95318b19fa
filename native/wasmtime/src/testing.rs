//! Modules for tests: a whole one that keeps to every rule, and any of its parts replaced.

/// The parts of a module, in the text format.
pub struct Parts<'a> {
    pub imports: &'a str,
    pub memory: &'a str,
    pub abi: &'a str,
    pub start: &'a str,
    pub poll: &'a str,
    pub rest: &'a str,
}

impl Default for Parts<'_> {
    fn default() -> Self {
        Parts {
            imports: "",
            memory: r#"(memory (export "memory") 320)"#,
            abi: r#"(global (export "weir_abi") i32 (i32.const 1))"#,
            start: r#"(func $weir_start (export "weir_start"))"#,
            poll: r#"(func $weir_poll (export "weir_poll") (param i32) (result i64) i64.const 0)"#,
            rest: "",
        }
    }
}

impl Parts<'_> {
    /// The module's bytes.
    pub fn build(&self) -> Vec<u8> {
        let text = format!(
            "(module\n{}\n{}\n{}\n{}\n{}\n{})",
            self.imports, self.memory, self.abi, self.start, self.poll, self.rest
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

/// A module that keeps to every rule, with more fields.
pub fn module_with(rest: &str) -> Vec<u8> {
    Parts {
        rest,
        ..Parts::default()
    }
    .build()
}
