//! Invisible characters that editors and copying leave in Secrets: byte order marks, zero-width
//! characters, control characters, and spaces that look like the ordinary one.

use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};

/// The characters that a value may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// A name, an id, a key or a token: no spaces but ordinary ones between visible characters.
    Name,
    /// A password or another secret that people may choose: any visible character, and any space.
    Password,
}

/// The first invisible character of a text: its kind, its code point and its position. The words never
/// hold the text itself.
pub fn invisible(text: &str, form: Charset) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let found = chars.iter().enumerate().find_map(|(index, char)| {
        let kind =
            kind(*char).or_else(|| space(&chars, index).filter(|_| form == Charset::Name))?;
        (!is_part_of_a_character(&chars, index)).then_some((index, *char, kind))
    });
    found.map(|(index, char, kind)| {
        format!(
            "{kind} (U+{:04X}) as character {} of {}",
            u32::from(char),
            index + 1,
            chars.len()
        )
    })
}

/// The kind of an invisible character. Spaces are not among them.
fn kind(char: char) -> Option<&'static str> {
    match char {
        '\u{feff}' => Some("a byte order mark"),
        '\t' => Some("a tab"),
        '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some("a line break"),
        _ if char.is_control() => Some("a control character"),
        _ if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(char) => {
            Some("a zero-width character")
        }
        _ => None,
    }
}

/// The kind of a space that no name has: one at either end, or one that only looks like the ordinary
/// one. The wide space of East Asian names is visible.
fn space(chars: &[char], index: usize) -> Option<&'static str> {
    let char = *chars.get(index)?;
    if !char.is_whitespace() {
        None
    } else if index == 0 || index + 1 == chars.len() {
        Some("a space at the end or the beginning")
    } else if [' ', '\u{3000}'].contains(&char) {
        None
    } else {
        Some("a space that is not the ordinary one")
    }
}

/// Whether a character belongs to the one before it, as joiners and variation selectors do after a
/// character beyond ASCII. Persian and Indic words and emoji are written with them; elsewhere they
/// change nothing.
fn is_part_of_a_character(chars: &[char], index: usize) -> bool {
    let beyond_ascii = |char: Option<&char>| char.is_some_and(|char| !char.is_ascii());
    let before = index.checked_sub(1).and_then(|index| chars.get(index));
    let follows_a_visible_one = beyond_ascii(before)
        && before.is_some_and(|char| kind(*char).is_none() || is_selector(*char));
    match chars.get(index) {
        Some('\u{200c}' | '\u{200d}') => {
            follows_a_visible_one && beyond_ascii(chars.get(index + 1))
        }
        Some(char) => is_selector(*char) && follows_a_visible_one,
        None => false,
    }
}

fn is_selector(char: char) -> bool {
    matches!(char, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// A text without invisible characters, and with ordinary spaces. Line breaks and tabs stay.
pub fn without_invisible(text: &str) -> String {
    text.chars()
        .filter_map(|char| match char {
            '\n' | '\r' | '\t' => Some(char),
            _ if kind(char).is_some() => None,
            _ if char.is_whitespace() => Some(' '),
            _ => Some(char),
        })
        .collect()
}

/// Whether bytes are text in UTF-16, which some editors and shells write.
pub fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_named_by_kind_and_position_and_visible_ones_pass() {
        // The text, and what is wrong with it as a name and as a password.
        for (text, name, password) in [
            ("operator", None, None),
            ("op er-ator_1@example.com", None, None),
            ("Zoë Müller", None, None),
            ("café", None, None),
            ("cafe\u{301}", None, None),
            ("山田\u{3000}太郎", None, None),
            ("علی\u{200c}رضا", None, None),
            ("क्\u{200d}ष", None, None),
            ("❤\u{fe0f}", None, None),
            ("👁\u{fe0f}\u{200d}🗨\u{fe0f}", None, None),
            ("pass word", None, None),
            (
                "\u{feff}operator",
                Some("a byte order mark (U+FEFF) as character 1 of 9"),
                Some("a byte order mark (U+FEFF) as character 1 of 9"),
            ),
            (
                "operator\u{feff}",
                Some("a byte order mark (U+FEFF) as character 9 of 9"),
                Some("a byte order mark (U+FEFF) as character 9 of 9"),
            ),
            (
                "opera\u{200b}tor",
                Some("a zero-width character (U+200B) as character 6 of 9"),
                Some("a zero-width character (U+200B) as character 6 of 9"),
            ),
            (
                "é\u{200b}",
                Some("a zero-width character (U+200B) as character 2 of 2"),
                Some("a zero-width character (U+200B) as character 2 of 2"),
            ),
            (
                "op\u{200d}é",
                Some("a zero-width character (U+200D) as character 3 of 4"),
                Some("a zero-width character (U+200D) as character 3 of 4"),
            ),
            (
                "é\u{200d}",
                Some("a zero-width character (U+200D) as character 2 of 2"),
                Some("a zero-width character (U+200D) as character 2 of 2"),
            ),
            (
                "op\u{ad}erator",
                Some("a zero-width character (U+00AD) as character 3 of 9"),
                Some("a zero-width character (U+00AD) as character 3 of 9"),
            ),
            (
                "\u{202a}operator\u{202c}",
                Some("a zero-width character (U+202A) as character 1 of 10"),
                Some("a zero-width character (U+202A) as character 1 of 10"),
            ),
            (
                "opera\rtor",
                Some("a line break (U+000D) as character 6 of 9"),
                Some("a line break (U+000D) as character 6 of 9"),
            ),
            (
                "one\ntwo",
                Some("a line break (U+000A) as character 4 of 7"),
                Some("a line break (U+000A) as character 4 of 7"),
            ),
            (
                "one\u{2028}two",
                Some("a line break (U+2028) as character 4 of 7"),
                Some("a line break (U+2028) as character 4 of 7"),
            ),
            (
                "\toperator",
                Some("a tab (U+0009) as character 1 of 9"),
                Some("a tab (U+0009) as character 1 of 9"),
            ),
            (
                "op\0",
                Some("a control character (U+0000) as character 3 of 3"),
                Some("a control character (U+0000) as character 3 of 3"),
            ),
            (
                "op\u{1b}[A",
                Some("a control character (U+001B) as character 3 of 5"),
                Some("a control character (U+001B) as character 3 of 5"),
            ),
            (
                "op\u{a0}er",
                Some("a space that is not the ordinary one (U+00A0) as character 3 of 5"),
                None,
            ),
            (
                "operator ",
                Some("a space at the end or the beginning (U+0020) as character 9 of 9"),
                None,
            ),
            (
                "\u{a0}operator",
                Some("a space at the end or the beginning (U+00A0) as character 1 of 9"),
                None,
            ),
        ] {
            assert_eq!(
                invisible(text, Charset::Name).as_deref(),
                name,
                "name {text:?}"
            );
            assert_eq!(
                invisible(text, Charset::Password).as_deref(),
                password,
                "password {text:?}"
            );
        }
    }
}
