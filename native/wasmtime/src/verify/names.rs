//! The names that a module's custom sections give, read before anything else so that errors can use them.

use crate::report::Report;
use crate::text::safe_text;
use std::collections::HashMap;
use wasmparser::{KnownCustom, Name, Parser, Payload};

/// Functions that may have a name: a bound on what a hostile name section makes us keep.
const MAX_NAMES: usize = 100_000;

/// A source map's address is cut to this many characters.
const URL_CHARACTERS: usize = 1024;

/// Function names by index, as the first readable name section has them.
#[derive(Default)]
pub struct FunctionNames<'a> {
    names: HashMap<u32, &'a str>,
}

impl<'a> FunctionNames<'a> {
    /// Reads the custom sections of `module`; notes the source map's address in `report`.
    pub fn read(module: &'a [u8], report: &mut Report) -> FunctionNames<'a> {
        let mut names: Option<HashMap<u32, &'a str>> = None;
        for payload in Parser::new(0).parse_all(module) {
            // The main pass reports what cannot be parsed.
            let Ok(payload) = payload else { break };
            let Payload::CustomSection(section) = payload else {
                continue;
            };
            match section.as_known() {
                KnownCustom::Name(reader) if names.is_none() => {
                    let (read, complete) = function_names(reader);
                    if !complete {
                        report.warn("the name section cannot be read to its end");
                    }
                    names = Some(read);
                }
                _ if section.name() == "sourceMappingURL" => {
                    report.source_mapping_url = source_mapping_url(section.data_reader());
                }
                _ => {}
            }
        }
        FunctionNames {
            names: names.unwrap_or_default(),
        }
    }

    /// No function has a name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of function `index`.
    pub fn get(&self, index: u32) -> Option<&'a str> {
        self.names.get(&index).copied()
    }
}

fn function_names<'a>(reader: wasmparser::NameSectionReader<'a>) -> (HashMap<u32, &'a str>, bool) {
    let mut names = HashMap::new();
    for subsection in reader {
        match subsection {
            Ok(Name::Function(map)) => {
                for naming in map {
                    let Ok(naming) = naming else {
                        return (names, false);
                    };
                    if names.len() >= MAX_NAMES {
                        return (names, false);
                    }
                    names.entry(naming.index).or_insert(naming.name);
                }
            }
            Ok(_) => {}
            Err(_) => return (names, false),
        }
    }
    (names, true)
}

fn source_mapping_url(mut reader: wasmparser::BinaryReader<'_>) -> Option<String> {
    let url = reader.read_string().ok()?;
    Some(safe_text(&url.chars().take(URL_CHARACTERS).collect::<String>()))
}
