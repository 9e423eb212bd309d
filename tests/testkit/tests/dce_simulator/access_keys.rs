//! Access keys: what DCE says about them since ghippo 0.14.

use std::time::Duration;

use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::dce::{
    ACCESS_KEY_CREATE, ACCESS_KEY_DELETE, ACCESS_KEY_LIST, ACCESS_KEYS, CURRENT_USER, Generation,
};
use testkit::server::Fault;
use testkit::wait::eventually;

use super::{DEADLINE, Site, decode, now, read};

const LIST: &str = "current-user/accesstokens";
const CREATE: &str = "current-user/accesstoken";

/// A simulator with access keys, and alice's first.
pub(super) struct Keys {
    pub(super) site: Site,
    pub(super) login: String,
}

impl Keys {
    pub(super) fn new() -> Self {
        let site = Site::of(Generation::From014);
        let login = site.dce.add_access_key("alice", "login", None).token;
        Self { site, login }
    }

    /// A request with alice's first key. A body that is null is none.
    pub(super) async fn call(&self, line: &str, body: Value) -> (u16, String) {
        self.call_as(&self.login, line, body).await
    }

    pub(super) async fn call_as(&self, token: &str, line: &str, body: Value) -> (u16, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = self.site.request(method.parse().unwrap(), path);
        let request = request.bearer_auth(token);
        read(match body {
            Value::Null => request,
            body => request.json(&body),
        })
        .await
    }

    /// Makes a key, which must succeed: id and token.
    pub(super) async fn make(&self, name: &str, expired_at: &str) -> (String, String) {
        let body = json!({"name": name, "expiredAt": expired_at});
        let (status, body) = self.call(&format!("POST {CREATE}"), body).await;
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        let field = |name: &str| body[name].as_str().unwrap().to_owned();
        assert_eq!(body.as_object().unwrap().len(), 2, "id and token: {body}");
        (field("id"), field("token"))
    }

    pub(super) async fn list(&self) -> Vec<Value> {
        let (status, body) = self.call(&format!("GET {LIST}"), Value::Null).await;
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        body["items"].as_array().unwrap().clone()
    }
}

/// So many seconds from now, as a client of Go would send it.
fn soon(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(now() + seconds).unwrap();
    at.to_string()
}

#[tokio::test]
async fn an_access_key_is_shown_once_listed_without_itself_and_deleted_by_its_id() {
    let keys = Keys::new();
    let (id, token) = keys.make("ci", &soon(3600)).await;
    let items = keys.list().await;
    let names: Vec<&str> = items.iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["login", "ci"]);
    let fields = ["createdAt", "expiredAt", "id", "name", "updatedAt"];
    for item in &items {
        let item = item.as_object().unwrap();
        assert!(item.keys().eq(fields), "{item:?}");
        assert!(item.values().all(Value::is_string), "{item:?}");
    }
    assert_eq!(items[1]["id"], id);
    let listed = json!(items).to_string();
    assert!(!listed.contains(&token) && !listed.contains(&keys.login));

    let delete = format!("DELETE {LIST}/{id}");
    let deleted = keys.call(&delete, Value::Null).await;
    assert_eq!(deleted, (200, "{}".to_owned()));
    assert_eq!(keys.list().await.len(), 1);
    let (status, body) = keys.call(&delete, Value::Null).await;
    assert_eq!(
        (status, body.contains(r#""code":5"#)),
        (404, true),
        "{body}"
    );
    let dead = keys.site.self_test(&token).await;
    assert_eq!(dead, (401, "Jwt verification fails".to_owned()));

    let calls = |route: &str| keys.site.dce.server().calls_to(route).len();
    let routes = [
        ACCESS_KEYS,
        ACCESS_KEY_LIST,
        ACCESS_KEY_CREATE,
        ACCESS_KEY_DELETE,
    ];
    assert_eq!(routes.map(calls), [4, 2, 1, 2]);
    assert_eq!(calls(CURRENT_USER), 1);
}

#[tokio::test]
async fn a_key_is_a_bearer_token_for_all_calls_until_it_expires() {
    let keys = Keys::new();
    let forever = decode(&keys.make("forever", "").await.1, 1);
    assert!(forever.get("exp").is_none(), "{forever}");
    assert_eq!(forever["preferred_username"], "alice");

    let at = now() + 2;
    let (id, token) = keys.make("short", &soon(2)).await;
    assert_eq!(decode(&token, 1)["exp"], at);
    let (status, user) = keys.site.self_test(&token).await;
    let user: Value = serde_json::from_str(&user).unwrap();
    assert_eq!((status, &user["username"]), (200, &json!("alice")));
    let more = json!({"name": "made by another key"});
    let made = keys.call_as(&token, &format!("POST {CREATE}"), more).await;
    assert_eq!(made.0, 200);
    assert_eq!(keys.site.dce.uses(&token), 2);
    let users = "GET users?page=1&pageSize=10";
    assert_eq!(keys.call(users, Value::Null).await.0, 403);
    keys.site.dce.add_admin("alice");
    assert_eq!(keys.call(users, Value::Null).await.0, 200);

    let refusal = eventually(DEADLINE, async || {
        let before = now();
        let (status, body) = keys.site.self_test(&token).await;
        ensure!(status == 401 || before < at, "accepted after its end");
        ensure!(status == 401, "accepted");
        Ok(body)
    });
    assert_eq!(refusal.await.unwrap(), "Jwt is expired");
    assert!(keys.list().await.iter().any(|item| item["id"] == id));
    let key = keys.site.dce.access_key(&id).unwrap();
    assert!(!key.live && !key.deleted);
}

#[tokio::test]
async fn the_gateway_refuses_keys_in_plain_text_and_ghippo_in_json() {
    let keys = Keys::new();
    let list = format!("GET {LIST}");
    let none = read(keys.site.get(LIST)).await;
    assert_eq!(none, (403, "RBAC: access denied".to_owned()));
    let other = Keys::new();
    for (token, words) in [
        (
            "x",
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
        ),
        (
            &other.login,
            "Jwks doesn't have key to match kid or alg from Jwt",
        ),
    ] {
        let refused = keys.call_as(token, &list, Value::Null).await;
        assert_eq!(refused, (401, words.to_owned()));
    }

    let create = format!("POST {CREATE}");
    let past = soon(-60);
    let rows = [
        (&*create, json!({}), 400, r#""code":3"#),
        (&create, Value::Null, 400, "name is required"),
        (&create, json!({"name": ""}), 400, "name is required"),
        (
            &create,
            json!({"name": 7}),
            400,
            "invalid value for string field name: 7",
        ),
        (&create, json!([]), 400, "syntax error"),
        (
            &create,
            json!({"name": "a", "expiredAt": 7}),
            400,
            "string field expiredAt",
        ),
        (
            &create,
            json!({"name": "a", "expiredAt": "tomorrow"}),
            400,
            "expiredAt is no time",
        ),
        (
            &create,
            json!({"name": "a", "expiredAt": past}),
            400,
            "expiredAt is in the past",
        ),
        (
            "GET current-user/accesstoken",
            Value::Null,
            501,
            r#""code":12"#,
        ),
        (
            "POST current-user/accesstokens",
            json!({}),
            501,
            "Method Not Allowed",
        ),
        (
            "PUT current-user/accesstokens/x",
            json!({}),
            501,
            "Method Not Allowed",
        ),
        (
            "DELETE current-user/accesstokens/x",
            Value::Null,
            404,
            r#""code":5"#,
        ),
        ("GET current-user/accesskeys", Value::Null, 404, "Not Found"),
        (
            "GET current-user/accesstokens/x/y",
            Value::Null,
            404,
            "Not Found",
        ),
    ];
    for (line, body, status, words) in rows {
        let got = keys.call(line, body.clone()).await;
        assert_eq!(got.0, status, "{line} {body}: {}", got.1);
        assert!(got.1.contains(words), "{line} {body}: {}", got.1);
    }
    assert_eq!(keys.site.dce.access_keys().len(), 1, "nothing was made");
}

#[tokio::test]
async fn several_keys_may_have_one_name_and_none_has_the_token_of_another() {
    let keys = Keys::new();
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(keys.make("same", "").await);
    }
    let named = keys.list().await;
    let named = named.iter().filter(|item| item["name"] == "same");
    assert_eq!(named.count(), 4);
    let mut tokens: Vec<&String> = made.iter().map(|(_, token)| token).collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 4);
    let (id, token) = &made[1];
    keys.call(&format!("DELETE {LIST}/{id}"), Value::Null).await;
    assert!(!keys.site.dce.is_live(token));
    let live = keys.site.dce.live_access_keys();
    let live: Vec<&str> = live.iter().map(|key| key.token.as_str()).collect();
    assert_eq!(live, [&keys.login, tokens[0], tokens[2], tokens[3]]);
}

#[tokio::test]
async fn admins_manage_the_keys_of_any_user_and_others_only_their_own() {
    let keys = Keys::new();
    let dce = &keys.site.dce;
    let bob = dce.add_access_key("bob", "login", None);
    dce.add_admin("root");
    let root = dce.add_access_key("root", "login", None);
    let (_, user) = keys.site.self_test(&bob.token).await;
    let user: Value = serde_json::from_str(&user).unwrap();
    let uid = user["uid"].as_str().unwrap();

    let own = format!("DELETE {LIST}/{}", bob.id);
    assert_eq!(keys.call(&own, Value::Null).await.0, 404, "not alice's");
    let (list, create) = (
        format!("GET users/{uid}/accesstokens"),
        format!("POST users/{uid}/accesstoken"),
    );
    let (status, body) = keys.call(&list, Value::Null).await;
    assert_eq!(
        (status, body.contains(r#""code":7"#)),
        (403, true),
        "{body}"
    );
    let made = keys
        .call_as(&root.token, &create, json!({"name": "given"}))
        .await;
    let made: Value = serde_json::from_str(&made.1).unwrap();
    let (_, user) = keys.site.self_test(made["token"].as_str().unwrap()).await;
    assert!(user.contains(r#""username":"bob""#), "{user}");
    let (_, body) = keys.call_as(&root.token, &list, Value::Null).await;
    assert!(body.contains(&bob.id) && body.contains("given"), "{body}");
    let delete = format!("DELETE users/{uid}/accesstokens/{}", bob.id);
    assert_eq!(keys.call_as(&root.token, &delete, Value::Null).await.0, 200);
    assert!(!dce.is_live(&bob.token));
    for nobody in ["x", "00000000-0000-0000-0000-000000000000"] {
        let list = format!("GET users/{nobody}/accesstokens");
        assert_eq!(keys.call_as(&root.token, &list, Value::Null).await.0, 404);
    }
}

#[tokio::test]
async fn key_pairs_and_access_keys_are_of_different_generations() {
    let old = Site::of(Generation::Before014);
    let token = old.token().await;
    for (method, path) in [(Method::GET, LIST), (Method::POST, CREATE)] {
        let request = old.request(method, path).bearer_auth(&token);
        let (status, body) = read(request).await;
        assert_eq!(
            (status, body.contains(r#""code":5"#)),
            (404, true),
            "{body}"
        );
    }
    assert!(old.dce.access_keys().is_empty());
    assert_eq!(old.dce.live().len(), 1);

    let keys = Keys::new();
    assert_eq!(read(keys.site.ask("&cycle=1")).await.0, 404);
    assert!(keys.site.dce.issued().is_empty() && keys.site.dce.live().is_empty());
}

#[tokio::test]
async fn a_lost_answer_leaves_a_key_that_the_ledger_knows_and_the_list_shows() {
    let keys = Keys::new();
    let dce = &keys.site.dce;
    dce.faults().push_n(ACCESS_KEY_CREATE, Fault::LoseAnswer, 1);
    let request = keys.site.request(Method::POST, CREATE);
    let request = request
        .bearer_auth(&keys.login)
        .json(&json!({"name": "lost"}));
    assert!(request.send().await.is_err());
    let lost = dce.access_keys().pop().unwrap();
    assert_eq!(
        (lost.name.as_str(), lost.live, lost.serial),
        ("lost", true, 2)
    );
    assert_eq!(keys.list().await[1]["id"], lost.id);
    assert!(dce.secret_values().contains(&lost.token));

    dce.faults().push_n(ACCESS_KEYS, Fault::Html(502), 1);
    assert_eq!(keys.call(&format!("GET {LIST}"), Value::Null).await.0, 502);
    dce.faults().set(ACCESS_KEYS, Fault::Delay(Duration::ZERO));
    assert_eq!(keys.make("not in that route", "").await.0.len(), 36);
}
