//! Patterns for names, as grants have them.

/// Whether a text is what a pattern says, in which `*` stands for any text.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    // The last part has to be at the end; without a star, that is where the text ends.
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_is_special() {
        for (pattern, text, expected) in [
            ("payments-*", "payments-prod", true),
            ("payments-*", "payments-", true),
            ("payments-*", "payments", false),
            ("payments-*", "other-payments-prod", false),
            ("*-prod", "payments-prod", true),
            ("*-prod", "payments-prod-2", false),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("prod", "prod", true),
            ("prod", "prod-2", false),
            ("Prod", "prod", false),
            ("p.od", "prod", false),
            ("", "", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
