//! The table that people read: of what was played, and not of what was planned.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{answers, life, stages::STAGES};

/// Columns beside those of the stages and of a life.
pub const WRONG_LOGIN: &str = "wrong login";
pub const REFUSED: &str = "refused in its own words";
pub const SOMEBODY_ELSE: &str = "somebody else's";

/// What was played of a kind in a column.
pub struct Played {
    pub kind: &'static str,
    pub column: &'static str,
    /// The call, where the column counts them.
    pub call: Option<&'static str>,
    /// Whether it has passed; why there is none otherwise.
    pub outcome: Result<(), Missing>,
}

/// Why something has not passed.
pub enum Missing {
    /// The kind has none, which is declared.
    Gap(&'static str),
    /// It has failed.
    Failed(String),
}

/// The columns of bad answers.
fn stages() -> Vec<&'static str> {
    STAGES.iter().map(|stage| stage.name()).collect()
}

/// All others.
fn others() -> Vec<&'static str> {
    let beside = [WRONG_LOGIN, REFUSED, SOMEBODY_ELSE];
    life::PARTS.into_iter().chain(beside).collect()
}

/// How many rows of a kind have passed.
pub fn passed(played: &[Played], kind: &str) -> usize {
    let of_kind = played.iter().filter(|it| it.kind == kind);
    of_kind.filter(|it| it.outcome.is_ok()).count()
}

fn cell(played: &[Played], kind: &str, column: &str) -> String {
    let here = || {
        let of_kind = played.iter().filter(move |it| it.kind == kind);
        of_kind.filter(move |it| it.column == column)
    };
    let gap = here().find_map(|it| match it.outcome {
        Err(Missing::Gap(why)) => Some(why),
        _ => None,
    });
    if let Some(why) = gap {
        return format!("– ({why})");
    }
    let rows = here().filter(|it| it.outcome.is_ok()).count();
    let calls: BTreeSet<_> = here().filter_map(|it| it.call).collect();
    match calls.len() {
        0 => rows.to_string(),
        1 => format!("{rows} (1 call)"),
        calls => format!("{rows} ({calls} calls)"),
    }
}

/// A table: kinds by columns.
fn table(text: &mut String, kinds: &[&str], columns: &[&str], played: &[Played]) {
    text.push_str("| kind |");
    for column in columns {
        write!(text, " {column} |").unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(columns.len()));
    for kind in kinds {
        write!(text, "\n| `{kind}` |").unwrap();
        for column in columns {
            write!(text, " {} |", cell(played, kind, column)).unwrap();
        }
    }
    text.push_str("\n\n");
}

/// The whole page.
pub fn written(kinds: &[&str], played: &[Played]) -> String {
    let mut text = String::from(
        "# Conformance\n\n<!-- Made by tests/conformance; `cargo test --test conformance` writes it anew. -->\n\n\
         What every kind of credential has to stand, with its own client and a simulator of its system.\n\n\
         ## Bad answers\n\n\
         Each kind was met with each of these bad answers at each of its calls: how many of the rows passed, and at how\n\
         many calls; or why there are none.\n\n",
    );
    table(&mut text, kinds, &stages(), played);
    for stage in STAGES {
        writeln!(text, "- **{}**: {}", stage.name(), stage.promise()).unwrap();
    }
    text.push_str(
        "\nAt all of them: no call is made more than once, or twice where a 401 can mean that a session has ended or that \
         keys are being changed, and where SODA has a request look again before it makes one; no redirect is followed; and nothing secret stands in a failure, or in the log at its \
         finest level.\n\nThe answers:\n\n",
    );
    for answer in answers::all() {
        writeln!(text, "- {}", answer.name).unwrap();
    }
    text.push_str("\n## Good answers and honest refusals\n\n");
    table(&mut text, kinds, &others(), played);
    text.push_str(
        "\
         - **issued and proven**: each call is made once, and no other; a further proof costs no more than the first.\n\
         - **overlap**: one more is issued while the first goes on working.\n\
         - **read again**: what is only read is the same again, and no call to any server changes anything; without a \
         grant it is read no more.\n\
         - **ended alone**: the first is revoked, which is confirmed, and the second is not.\n",
    );
    writeln!(
        text,
        "- **{WRONG_LOGIN}**: it is called that, by the test and by an attempt to have a credential, and is tried twice at most.\n\
         - **{REFUSED}**: quotas, rights and whoever is disabled, as the system itself says it, have their reasons.\n\
         - **{SOMEBODY_ELSE}**: an answer in which a single field is about another user or another object than was asked \
         for is refused, and the same answer without that is taken."
    )
    .unwrap();
    text
}
