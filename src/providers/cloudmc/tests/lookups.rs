//! Connections and environments, by id and by name.

use serde_json::{Value, json};

use super::{
    super::{
        answer,
        client::{Sort, Trouble, pick, this_one},
        names::{Entity, Named},
    },
    MARK, answer, page,
};
use crate::{api::Reason, plan::Failure, providers::http::Answer};

const HERE: &str = "adfbdb51-493b-45b1-8802-3f6327afb9e6";
const THERE: &str = "b2b5e4c0-0000-4000-8000-000000000000";

fn connection() -> Entity {
    Entity {
        id: HERE.to_owned(),
        name: Some("objects".to_owned()),
        connection: None,
        organization: None,
    }
}

fn environment(id: &str, name: &str, connection: &str) -> Value {
    json!({"id": id, "name": name, "description": MARK, "serviceConnection": {"id": connection, "name": MARK}})
}

fn list(items: &Value) -> Answer {
    answer(200, &json!({"data": items}).to_string())
}

/// The id that a name leads to, of an environment of the connection above.
fn found(name: &str, answer: &Answer) -> Result<String, Failure> {
    let asked = Named::Name(name.to_owned());
    pick(
        Sort::Environment,
        name,
        answer,
        Some(&connection()),
        &|_| true,
    )
    .map(|entity| entity.id)
    .map_err(|trouble| trouble.failure(Sort::Environment, &asked, false))
}

#[test]
fn a_name_leads_to_the_only_one_that_has_it() {
    for name in [
        "prod",
        "pro/d",
        "..",
        "two words",
        "Umgebung für alle",
        "*",
        "prod\u{301}",
    ] {
        let items = json!([
            environment("e1", "other", HERE),
            environment("e2", name, HERE),
            environment("e3", "prod-2", HERE),
            {"id": 7.to_string(), "name": null}, {"name": "nameless"}, {},
        ]);
        assert_eq!(found(name, &list(&items)).unwrap(), "e2", "{name}");
    }
    let namesakes = json!([
        environment("e1", "prod", THERE),
        environment("e2", "prod", HERE)
    ]);
    assert_eq!(
        found("prod", &list(&namesakes)).unwrap(),
        "e2",
        "of this connection there is one"
    );
    let untold = json!([{"id": "e1", "name": "prod"}]);
    assert_eq!(found("prod", &list(&untold)).unwrap(), "e1");
}

#[test]
fn of_several_in_one_connection_the_one_that_the_grants_are_about_is_meant() {
    let of = |id: &str, organization: Value| {
        let mut one = environment(id, "prod", HERE);
        one["organization"] = organization;
        one
    };
    let both = list(&json!([
        of("e1", json!({"id": "o1", "name": "acme"})),
        of("e2", json!({"id": "o2", "name": "globex"})),
        // In another form, it is as if it were not told.
        of("e3", json!("acme")),
    ]));
    let meant = |organization: &str| {
        let is_it = |one: &Entity| {
            let its = one.organization.as_ref();
            its.is_some_and(|its| its.name.as_deref() == Some(organization))
        };
        let picked = pick(
            Sort::Environment,
            "prod",
            &both,
            Some(&connection()),
            &is_it,
        );
        picked.map(|entity| entity.id)
    };
    assert_eq!(meant("acme").unwrap(), "e1");
    assert_eq!(meant("globex").unwrap(), "e2");
    assert!(matches!(meant("initech"), Err(Trouble::Several(3))));
}

#[test]
fn a_name_that_leads_nowhere_or_to_several_says_so() {
    let (prod, same) = (
        environment("e1", "prod", HERE),
        environment("e2", "prod", HERE),
    );
    let counted = |items: Value, count: u64| {
        answer(
            200,
            &json!({"data": items, "metadata": {"recordCount": count}}).to_string(),
        )
    };
    for (what, answer, reason, words) in [
        (
            "nobody",
            list(&json!([])),
            Reason::ScopeRefused,
            "no longer, a member",
        ),
        (
            "another name",
            list(&json!([environment("e1", "Prod", HERE)])),
            Reason::ScopeRefused,
            "no environment called prod",
        ),
        (
            "two",
            list(&json!([prod, same])),
            Reason::ScopeRefused,
            "2 environments called prod; state the id in spec.cloudMC.serviceKeys.environment",
        ),
        (
            "an id that is none",
            list(&json!([environment("../x", "prod", HERE)])),
            Reason::UnexpectedAnswer,
            "cannot be one",
        ),
        (
            "an id of dots",
            list(&json!([environment("..", "prod", HERE)])),
            Reason::UnexpectedAnswer,
            "cannot be one",
        ),
        (
            "no id",
            list(&json!([{"name": "prod"}])),
            Reason::UnexpectedAnswer,
            "cannot be one",
        ),
        (
            "a part of the list, with it",
            counted(json!([prod]), 2),
            Reason::UnexpectedAnswer,
            "a name proves nothing",
        ),
        (
            "a part of the list, without it",
            counted(json!([]), 1),
            Reason::UnexpectedAnswer,
            "a name proves nothing",
        ),
        (
            "a part of the list, with two",
            counted(json!([prod, same]), 3),
            Reason::ScopeRefused,
            "2 environments",
        ),
        (
            "an object for a list",
            answer(200, &json!({"data": prod}).to_string()),
            Reason::UnexpectedAnswer,
            "never says",
        ),
        (
            "no data",
            answer(200, "{}"),
            Reason::UnexpectedAnswer,
            "without data",
        ),
    ] {
        let failure = found("prod", &answer).unwrap_err();
        assert_eq!(failure.reason, reason, "{what}: {}", failure.message);
        assert!(
            failure.message.contains(words),
            "{what}: {}",
            failure.message
        );
        assert!(
            !failure.message.contains(MARK),
            "{what}: {}",
            failure.message
        );
    }
    assert!(found("prod", &counted(json!([prod]), 1)).is_ok());
    assert!(found("prod", &counted(json!([prod]), 0)).is_ok());
}

#[test]
fn what_was_there_before_and_is_not_any_more_is_most_likely_a_membership_that_has_ended() {
    let asked = Named::Name("prod".to_owned());
    let gone = |before| {
        let nobody = list(&json!([]));
        let trouble = pick(Sort::Environment, "prod", &nobody, None, &|_| true).unwrap_err();
        trouble.failure(Sort::Environment, &asked, before)
    };
    assert_eq!(gone(false).reason, Reason::ScopeRefused);
    assert_eq!(gone(true).reason, Reason::Forbidden);
    assert!(
        gone(true)
            .message
            .contains("not, or no longer, a member of it")
    );
}

#[test]
fn an_id_leads_to_what_is_answered_about_it_and_to_nothing_else() {
    let about = |sort: Sort, answer: &Answer| {
        let asked = Named::Id(HERE.to_owned());
        this_one(sort, HERE, answer)
            .map(|entity| (entity.name, entity.connection))
            .map_err(|trouble| trouble.failure(sort, &asked, false))
    };
    let body = |data: Value| answer(200, &json!({"data": data}).to_string());
    let it = environment(HERE, "prod", THERE);
    for (what, answer) in [
        ("an object", body(json!(it))),
        ("a list of one", body(json!([it]))),
    ] {
        let name = Some("prod".to_owned());
        let known = about(Sort::Environment, &answer).unwrap();
        assert_eq!(known, (name.clone(), Some(THERE.to_owned())), "{what}");
        let known = about(Sort::Connection, &answer).unwrap();
        assert_eq!(known, (name, None), "{what}");
    }
    for (what, answer, reason, words) in [
        (
            "another one",
            body(json!(environment(THERE, "prod", HERE))),
            Reason::UnexpectedAnswer,
            "speaks of another environment",
        ),
        (
            "two",
            body(json!([it, it])),
            Reason::UnexpectedAnswer,
            "never says",
        ),
        (
            "none",
            body(json!([])),
            Reason::UnexpectedAnswer,
            "never says",
        ),
        (
            "without an id",
            body(json!({"name": MARK})),
            Reason::UnexpectedAnswer,
            "cannot be one",
        ),
        (
            "not shown",
            answer(403, "{}"),
            Reason::ScopeRefused,
            "no environment with the id",
        ),
        (
            "not there",
            answer(404, r#"{"errors": [{"code": 1404}]}"#),
            Reason::ScopeRefused,
            "no longer, a member",
        ),
        (
            "no API there",
            page(404, MARK),
            Reason::UnexpectedAnswer,
            "base URL with the version",
        ),
        (
            "a refused key",
            answer(401, "{}"),
            Reason::LoginRefused,
            "API key",
        ),
    ] {
        let failure = about(Sort::Environment, &answer).unwrap_err();
        assert_eq!(failure.reason, reason, "{what}: {}", failure.message);
        assert!(
            failure.message.contains(words),
            "{what}: {}",
            failure.message
        );
        assert!(
            !failure.message.contains(MARK),
            "{what}: {}",
            failure.message
        );
    }
}

/// So many environments as the documentation shows them, each with a description of a KiB.
fn many(count: usize) -> String {
    let items: Vec<Value> = (0..count)
        .map(|number| {
            let mut item = environment(&format!("e{number}"), &format!("tenant-{number}"), HERE);
            item["description"] = json!("d".repeat(1024));
            item
        })
        .collect();
    json!({"data": items}).to_string()
}

#[test]
fn a_name_is_found_in_a_list_of_thousands() {
    let body = many(3000);
    assert!(body.len() > 3 * 1024 * 1024);
    assert_eq!(found("tenant-2999", &answer(200, &body)).unwrap(), "e2999");
    let failing = format!(
        "{}, \"errors\": [{{\"code\": 500}}]}}",
        &body[..body.len() - 1]
    );
    let failure = answer::said(&answer(200, &failing)).done(&answer(200, &failing));
    assert_eq!(failure.unwrap_err().reason, Reason::UnexpectedAnswer);
    let hostile = format!("{{\"data\": [{}{{}}]}}", "{},".repeat(100_000));
    let failure = found("tenant-1", &answer(200, &hostile)).unwrap_err();
    assert_eq!(failure.reason, Reason::UnexpectedAnswer);
}

#[test]
fn a_list_that_was_cut_off_leads_to_no_environment_and_names_the_field() {
    let mut answer = answer(200, &many(10)[..5000]);
    answer.is_whole = false;
    let failure = found("tenant-1", &answer).unwrap_err();
    assert_eq!(failure.reason, Reason::UnexpectedAnswer);
    let words = "larger than 8 MiB; state the id in spec.cloudMC.serviceKeys.environment";
    assert!(failure.message.contains(words), "{}", failure.message);
}

#[test]
fn a_login_works_where_the_beginning_of_a_list_shows_it() {
    let whole = many(10);
    for (what, body, is_whole, works) in [
        ("a whole list", whole.as_str(), true, true),
        ("no environment", r#"{"data": []}"#, true, true),
        ("the beginning of a list", &whole[..5000], false, true),
        ("a list that breaks off", &whole[..5000], true, false),
        ("the beginning of a text", "\"data xxxx", false, false),
        ("the beginning of an object", r#"{"x": "xxxx"#, false, false),
        ("the beginning of a page", "<html><head>", false, false),
        (
            "the beginning of something else",
            r#"{"data": {"fields": ["#,
            false,
            false,
        ),
        ("errors", r#"{"errors": [{"code": 500}]}"#, true, false),
        ("more than was asked for", whole.as_str(), false, false),
    ] {
        let mut answer = answer(200, body);
        answer.is_whole = is_whole;
        let begins = answer::begins::<Value>(&answer);
        assert_eq!(begins.is_ok(), works, "{what}");
    }
    let mut refused = page(401, "<html>");
    refused.is_whole = false;
    let failure = answer::begins::<Value>(&refused).unwrap_err();
    assert_eq!(failure.reason, Reason::LoginRefused);
}
