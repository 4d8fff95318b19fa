//! Names and messages that come from a module, made safe for logs, terminals and JSON.

use std::fmt::Write;

/// Names are cut to this many characters.
pub const NAME_CHARACTERS: usize = 128;

/// Cuts `name` to [`NAME_CHARACTERS`] and escapes what does not show: control characters and those that reorder or hide
/// their neighbours.
pub fn safe_name(name: &str) -> String {
    let mut safe = escape(name.chars().take(NAME_CHARACTERS));
    if name.chars().nth(NAME_CHARACTERS).is_some() {
        safe.push('…');
    }
    safe
}

/// Escapes as [`safe_name`] does, without cutting.
pub fn safe_text(text: &str) -> String {
    escape(text.chars())
}

fn escape(characters: impl Iterator<Item = char>) -> String {
    let mut safe = String::new();
    for character in characters {
        if is_hidden(character) {
            // Writing to a String does not fail.
            let _ = write!(safe, "\\u{{{:x}}}", character as u32);
        } else {
            safe.push(character);
        }
    }
    safe
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_escaped() {
        assert_eq!(safe_name("a\nb\u{1b}[31m"), "a\\u{a}b\\u{1b}[31m");
        assert_eq!(safe_name("x\u{202e}y\u{7f}\u{9b}"), "x\\u{202e}y\\u{7f}\\u{9b}");
        assert_eq!(safe_name("größe/π~anonymous|0"), "größe/π~anonymous|0");
    }

    #[test]
    fn long_names_are_cut() {
        let safe = safe_name(&"é".repeat(1000));
        assert_eq!(safe.chars().count(), NAME_CHARACTERS + 1);
        assert!(safe.ends_with('…'));
        assert_eq!(safe_name(&"a".repeat(NAME_CHARACTERS)).len(), NAME_CHARACTERS);
    }
}
