//! The file that clients of S3 read their login from, `~/.aws/credentials`.

use super::SecretData;

/// What stands in the file, and under which key of the Secret: AWS CLI User Guide, "Configuration and
/// credential file settings". The second endpoint, within `s3`, is where the plugin `awscli-plugin-endpoint`
/// looks; the first is for clients from 2023 on.
const LINES: [(&str, &str); 5] = [
    ("region", REGION),
    ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("endpoint_url", ENDPOINT),
    ("s3 =\n  endpoint_url", ENDPOINT),
];
const REGION: &str = "AWS_REGION";
const ENDPOINT: &str = "AWS_ENDPOINT_URL_S3";

/// Whether something that stands in a profile can be on its line and be read by all clients as what it is. They
/// take a line break for the next setting. The AWS SDK for Go v2 (`internal/ini`, as of 1.7.3) takes a `#` or `;`
/// after a space for a comment, so that none may be the first after "= ", and strips a pair of quotes around a value;
/// others know no quotes.
pub fn fits_profile(value: &str) -> bool {
    let in_the_way = |char: char| char.is_whitespace() || char.is_control();
    let quotes = ['"', '\''];
    !value.is_empty()
        && !value.contains(in_the_way)
        && !value.starts_with(['#', ';'])
        && !value.starts_with(quotes)
        && !value.ends_with(quotes)
}

/// Whether a key of a Secret is one that a profile is made of.
pub fn is_of_profile(key: &str) -> bool {
    LINES.iter().any(|(_, of)| *of == key)
}

/// A file with the profile `default`, of the keys that a Secret has for clients of S3.
///
/// # Errors
/// The key that is missing, or that cannot be on a line.
pub fn aws_profile(data: &SecretData) -> Result<zeroize::Zeroizing<String>, &'static str> {
    let mut profile = zeroize::Zeroizing::new(String::from("[default]\n"));
    for (setting, key) in LINES {
        let value = data.text(key).filter(|value| fits_profile(value));
        for part in [setting, " = ", value.ok_or(key)?, "\n"] {
            profile.push_str(part);
        }
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> SecretData {
        SecretData::default()
            .with("AWS_ACCESS_KEY_ID", "076d7a25")
            .with("AWS_SECRET_ACCESS_KEY", "a/secret+key=#1")
            .with("AWS_ENDPOINT_URL_S3", "https://objects.example.com")
            .with("AWS_REGION", "region-1")
    }

    #[test]
    fn it_has_what_clients_of_s3_look_for() {
        let expected = "[default]\n\
            region = region-1\n\
            aws_access_key_id = 076d7a25\n\
            aws_secret_access_key = a/secret+key=#1\n\
            endpoint_url = https://objects.example.com\n\
            s3 =\n  endpoint_url = https://objects.example.com\n";
        assert_eq!(aws_profile(&data()).unwrap().as_str(), expected);
    }

    #[test]
    fn nothing_gets_a_line_of_its_own() {
        for (value, fits) in [
            ("a", true),
            ("=#;[", true),
            ("é", true),
            ("a\"'b", true),
            ("#x", false),
            (";x", false),
            ("\"x\"", false),
            ("'x", false),
            ("x'", false),
            ("\"", false),
            ("", false),
            ("a b", false),
            ("a\n[other]\nb = c", false),
            ("a\r", false),
            ("\u{2028}", false),
            ("\0", false),
        ] {
            assert_eq!(fits_profile(value), fits, "{value:?}");
            for (_, key) in LINES {
                let made = aws_profile(&data().with(key, value));
                assert_eq!(made.err(), (!fits).then_some(key), "{key}: {value:?}");
            }
        }
        assert_eq!(
            aws_profile(&SecretData::default()).err(),
            Some("AWS_REGION")
        );
    }
}
