//! The plan is pure: it does no I/O, reads no clock, draws no random number, logs nothing.

use std::path::Path;

/// What would make it impure, and what it would be.
const IMPURE: &[(&str, &str)] = &[
    ("::now(", "a clock"),
    ("clock::", "a clock"),
    ("Instant", "a clock"),
    ("SystemTime", "a clock"),
    ("rand", "chance"),
    ("Uuid", "chance"),
    ("std::fs", "I/O"),
    ("std::net", "I/O"),
    ("std::env", "I/O"),
    ("std::process", "I/O"),
    ("tokio", "I/O"),
    ("async ", "I/O"),
    ("kube::", "I/O"),
    ("reqwest", "I/O"),
    ("controller::", "the hands"),
    ("providers::", "a system"),
    ("tracing", "logging"),
    ("println", "logging"),
    ("static ", "hidden state"),
    ("Mutex", "hidden state"),
    ("Cell", "hidden state"),
];

#[test]
fn the_plan_is_pure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line
                .split("//")
                .next()
                .unwrap_or_default()
                .replace("&'static ", "");
            for (word, what) in IMPURE {
                assert!(
                    !code.contains(word),
                    "{}:{}: {what}: {line}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
    assert!(files >= 8, "the plan has moved: {files} files found");
}
