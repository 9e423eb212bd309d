//! Ids and names of what there is at a system.

/// What an id looks like: a UUID, or the hexadecimal digits that Keystone makes; back ends such as LDAP
/// have their own, and Keystone's first domain is called `default`. It becomes a segment of a path.
pub(super) const ID: (&str, &str) = (
    "self.matches('^[a-zA-Z0-9][-_.a-zA-Z0-9]*$')",
    "must be an id: letters, digits, '-', '_' and '.', beginning with a letter or digit",
);

/// Names may hold nearly everything.
pub(super) const NAME: (&str, &str) = (
    "self.size() > 0 && !self.matches('\\\\p{Cc}')",
    "must be a name: not empty, and without control characters",
);

/// What is said of a text that cannot be an id.
pub const NO_ID: &str =
    "must be an id: at most 64 letters, digits, '-', '_' and '.', beginning with a letter or digit";
/// What is said of a text that cannot be a name.
pub const NO_NAME: &str =
    "must be a name: not empty, of at most 255 characters, and without control characters";

/// Whether a text can be an id. The schema has the same rule, and this is for objects that it never saw.
pub fn is_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|char: char| char.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char))
}

/// Whether a text can be a name: by characters and not by bytes, as the schema counts.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= 255 && !text.chars().any(char::is_control)
}
