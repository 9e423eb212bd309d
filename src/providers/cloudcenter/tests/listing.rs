//! How the list of users is walked to its end.

use super::*;
use crate::providers::cloudcenter::users::{Step, Walk};

/// A page with the users of these ids, whose addresses follow from the ids.
fn page(ids: std::ops::Range<u32>, pages: Option<u64>, users: Option<u64>) -> Value {
    let rows: Vec<_> = ids
        .map(|id| someone(&id.to_string(), &format!("u{id}@example.com")))
        .collect();
    let mut page =
        json!({"resource": "https://evil.example.com/v1/users", "size": 20, "users": rows});
    if let Some(pages) = pages {
        page["totalPages"] = json!(pages);
    }
    if let Some(users) = users {
        page["totalElements"] = json!(users);
    }
    page
}

fn someone(id: &str, email: &str) -> Value {
    json!({"id": id, "username": format!("u_{id}"), "emailAddr": email, "enabled": true})
}

fn of(rows: Vec<Value>) -> Value {
    json!({"users": rows, "totalPages": 1})
}

/// Walks through pages, as many as are wanted: who was found, and how many were looked at.
fn walk(
    email: &str,
    pages: impl Iterator<Item = Value>,
) -> (Result<Option<String>, Reason>, usize) {
    let mut walk = Walk::default();
    let mut looked = 0;
    for page in pages {
        looked += 1;
        let page = users::read_page(&answer(200, &page)).unwrap();
        match walk.take(page, email) {
            Ok(Step::Next(next)) => assert_eq!(next, u64::try_from(looked).unwrap()),
            Ok(Step::End) => break,
            Err(failure) => return (Err(failure.reason), looked),
        }
    }
    let found = walk.only().map(|user| user.map(|user| user.id));
    (found.map_err(|failure| failure.reason), looked)
}

#[test]
fn the_list_is_walked_to_its_end_and_no_further() {
    let found = |id: &str| Ok(Some(id.to_owned()));
    let three = |pages, users| {
        let pages = [
            page(0..20, pages, users),
            page(20..40, pages, users),
            page(40..45, pages, users),
            page(0..0, pages, users),
        ];
        pages.into_iter()
    };
    let again = |pages, users| std::iter::repeat_with(move || page(0..20, pages, users));
    let incomplete = Err(Reason::UnexpectedAnswer);
    for (name, (got, looked), expected, most) in [
        (
            "on the first page",
            walk("u3@example.com", three(Some(3), Some(45))),
            found("3"),
            3,
        ),
        (
            "on the third",
            walk("u44@example.com", three(Some(3), Some(45))),
            found("44"),
            3,
        ),
        (
            "nowhere",
            walk("u45@example.com", three(Some(3), Some(45))),
            Ok(None),
            3,
        ),
        (
            "no totals",
            walk("u44@example.com", three(None, None)),
            found("44"),
            4,
        ),
        (
            "pages alone are counted",
            walk("u44@example.com", three(Some(3), None)),
            found("44"),
            3,
        ),
        (
            "users alone are",
            walk("u44@example.com", three(None, Some(45))),
            found("44"),
            4,
        ),
        (
            "the first page again and again",
            walk("u3@example.com", again(None, None)),
            found("3"),
            2,
        ),
        (
            "although there are more",
            walk("u3@example.com", again(Some(3), Some(45))),
            incomplete.clone(),
            2,
        ),
        (
            "although there is one more page",
            walk("u3@example.com", again(Some(2), Some(25))),
            incomplete.clone(),
            2,
        ),
        (
            "fewer than are promised",
            walk("u44@example.com", three(Some(3), Some(46))),
            incomplete.clone(),
            3,
        ),
        (
            "without an end",
            walk(
                "u3@example.com",
                (0_u32..).map(|n| page(n * 20..n * 20 + 20, Some(u64::from(n) + 2), None)),
            ),
            incomplete.clone(),
            500,
        ),
        (
            "five hundred pages are not too many",
            walk(
                "u9999@example.com",
                (0_u32..).map(|n| page(n * 20..n * 20 + 20, Some(500), Some(10_000))),
            ),
            found("9999"),
            500,
        ),
        (
            "nobody at all",
            walk("a@b", [page(0..0, Some(0), Some(0))].into_iter()),
            Ok(None),
            1,
        ),
    ] {
        assert_eq!((got, looked), (expected, most), "{name}");
    }
}

#[test]
fn one_address_is_one_user() {
    let one = |rows: Vec<Value>| walk("alice@example.com", [of(rows)].into_iter()).0;
    let alice = |id: &str| someone(id, "alice@example.com");
    for (name, rows, expected) in [
        (
            "one",
            vec![alice("4"), someone("5", "bob@example.com")],
            Ok(Some("4")),
        ),
        (
            "two",
            vec![alice("4"), alice("5")],
            Err(Reason::UnexpectedAnswer),
        ),
        (
            "two that differ in case",
            vec![alice("4"), someone("5", "Alice@Example.com")],
            Err(Reason::UnexpectedAnswer),
        ),
        (
            "the same one twice",
            vec![alice("4"), alice("4")],
            Ok(Some("4")),
        ),
        (
            "case makes no difference",
            vec![someone("4", "ALICE@example.com")],
            Ok(Some("4")),
        ),
        (
            "a part of it",
            vec![someone("4", "malice@example.com")],
            Ok(None),
        ),
        (
            "more than it",
            vec![someone("4", "alice@example.com.evil")],
            Ok(None),
        ),
        (
            "blanks around it",
            vec![someone("4", " alice@example.com ")],
            Ok(None),
        ),
        (
            "others without an address or an id",
            vec![
                json!({"id": "1"}),
                json!({"username": "x"}),
                json!({}),
                alice("4"),
            ],
            Ok(Some("4")),
        ),
        (
            "others with odd ids",
            vec![
                someone("../1", "x@example.com"),
                someone("", "y@example.com"),
                alice("4"),
            ],
            Ok(Some("4")),
        ),
        (
            "an odd id",
            vec![alice("../4")],
            Err(Reason::UnexpectedAnswer),
        ),
        (
            "an id of dots",
            vec![alice("..")],
            Err(Reason::UnexpectedAnswer),
        ),
        (
            "a long id",
            vec![alice(&"4".repeat(65))],
            Err(Reason::UnexpectedAnswer),
        ),
        (
            "a number",
            vec![json!({"id": 4, "username": "a_4", "emailAddr": "alice@example.com"})],
            Ok(Some("4")),
        ),
        (
            "no user name",
            vec![json!({"id": "4", "emailAddr": "alice@example.com"})],
            Err(Reason::UnexpectedAnswer),
        ),
    ] {
        assert_eq!(
            one(rows),
            expected.map(|id| id.map(str::to_owned)),
            "{name}"
        );
    }
}

#[test]
fn what_is_no_list_is_no_empty_list() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "42",
        "<html></html>",
        r#"{"users": null}"#,
        r#"{"users": {}}"#,
        r#"{"users": [7]}"#,
        r#"{"users": [{"id": "1"}"#,
        r#"{"errors": []}"#,
        r#"{"totalPages": 0}"#,
        r#"{"users": [], "totalPages": "many"}"#,
        r#"{"users": [], "totalPages": -1}"#,
    ] {
        let page = users::read_page(&Answer::of(200, &[], body));
        let reason = page.err().map(|failure| failure.reason);
        assert_eq!(reason, Some(Reason::UnexpectedAnswer), "{body}");
    }
}
