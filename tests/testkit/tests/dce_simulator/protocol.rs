//! What DCE says to its clients.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use reqwest::Client;
use serde_json::{Value, json};
use testkit::dce::{CURRENT_USER, DceOptions, Generation, RefusalStyle, TOKEN};
use testkit::wait::eventually;

use super::{DAY, DEADLINE, Site, decode, now, read};

#[tokio::test]
async fn the_token_request_has_the_quirks_of_its_generation() {
    use Generation::{Before013, Before014, From014};
    // What the answer must contain, or for a token the days between iat and exp.
    let cases = [
        (Before013, "&cycle=7", 200, Ok(7)),
        (Before013, "", 400, Err("cycle is required")),
        (Before014, "", 200, Ok(3)),
        (Before014, "&cycle=1", 200, Ok(1)),
        (Before014, "&cycle=4000", 200, Ok(4000)),
        (Before014, "&cycle=0", 400, Err(r#""code":3"#)),
        (Before014, "&cycle=-1", 400, Err(r#""code":3"#)),
        (Before014, "&cycle=", 400, Err("invalid syntax")),
        (Before014, "&cycle=1.5", 400, Err("invalid syntax")),
        (Before014, "&cycle=1h", 400, Err("invalid syntax")),
        (
            From014,
            "&cycle=1",
            404,
            Err(r#"{"code":5,"details":[],"message":"Not Found"}"#),
        ),
    ];
    for (generation, cycle, status, expected) in cases {
        let site = Site::of(generation);
        let (got, body) = read(site.ask(cycle)).await;
        assert_eq!(got, status, "{generation:?} {cycle}: {body}");
        match expected {
            Ok(days) => {
                let body: Value = serde_json::from_str(&body).unwrap();
                let claims = decode(body["token"].as_str().unwrap(), 1);
                let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
                assert_eq!(life, days * DAY, "{generation:?} {cycle}");
            }
            Err(words) => assert!(body.contains(words), "{generation:?} {cycle}: {body}"),
        }
        assert_eq!(site.dce.token_requests(), 1);
        assert_eq!(site.dce.issued().len(), usize::from(status == 200));
    }
}

#[tokio::test]
async fn a_token_has_the_claims_of_a_real_one_and_no_others() {
    let site = Site::new();
    let token = site.token().await;
    let header = decode(&token, 0);
    assert_eq!(
        header,
        json!({"alg": "RS256", "typ": "JWT", "kid": header["kid"]})
    );
    assert_eq!(header["kid"].as_str().unwrap().len(), 43);
    let claims = decode(&token, 1);
    let names: BTreeSet<&str> = claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = ["exp", "iat", "iss", "sub", "preferred_username", "groups"];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(
        (&claims["iss"], &claims["preferred_username"]),
        (&json!("ghippo.io"), &json!("alice"))
    );
    assert!((now() - claims["iat"].as_i64().unwrap()).abs() <= DEADLINE.as_secs() as i64);

    let (status, body) = site.self_test(&token).await;
    assert_eq!(status, 200, "{body}");
    let user: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&user["uid"], &user["username"]),
        (&claims["sub"], &json!("alice"))
    );
    assert_eq!(site.dce.uses(&token), 1);
}

#[tokio::test]
async fn a_wrong_pair_is_refused_and_counted() {
    let site = Site::new();
    let envelope = "{\"code\":16,\"details\":[],\"message\":\"invalid access key or secret key\"}";
    let wrong = format!("token?ak={}&sk=wrong", site.ak);
    assert_eq!(read(site.get(&wrong)).await, (401, envelope.to_owned()));
    site.dce.refuse_with(RefusalStyle::PlainText);
    assert_eq!(
        read(site.get(&wrong)).await,
        (401, "Unauthorized".to_owned())
    );
    assert_eq!(site.dce.logins_refused(), 2);
    for incomplete in ["token", "token?ak=x", "token?sk=x"] {
        assert_eq!(read(site.get(incomplete)).await.0, 400);
    }
    assert_eq!(
        site.dce.logins_refused(),
        2,
        "an incomplete request is no login"
    );

    let token = site.token().await;
    let (ak, sk) = site.dce.change_pair("alice");
    assert_eq!(read(site.ask("")).await.0, 401, "the old pair");
    assert_eq!(
        read(site.get(&format!("token?ak={ak}&sk={sk}"))).await.0,
        200
    );
    site.dce.disable_pair(&ak);
    assert_eq!(
        read(site.get(&format!("token?ak={ak}&sk={sk}"))).await.0,
        401
    );
    assert_eq!(
        site.self_test(&token).await.0,
        200,
        "tokens outlive their pair"
    );
}

#[tokio::test]
async fn the_gateway_refuses_in_plain_text() {
    let site = Site::new();
    let token = site.token().await;
    let (message, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{message}.{flipped}{}", &signature[1..]);
    let other = Site::new();
    let foreign = other.token().await;
    let cases = [
        (
            "not-a-jwt",
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
        ),
        (
            "a.b",
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
        ),
        ("a*.b.c", "Jwt header is an invalid Base64url encoded"),
        ("YWJj.b.c", "Jwt header is an invalid JSON"),
        (&forged, "Jwt verification fails"),
        (
            &foreign,
            "Jwks doesn't have key to match kid or alg from Jwt",
        ),
    ];
    for (token, expected) in cases {
        let response = site
            .get("current-user")
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], "text/plain");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(
            challenge.ends_with("error=\"invalid_token\""),
            "{challenge}"
        );
        assert_eq!(
            (
                response.status().as_u16(),
                response.text().await.unwrap().as_str()
            ),
            (401, expected)
        );
    }
    let none = read(site.get("current-user")).await;
    assert_eq!(none, (403, "RBAC: access denied".to_owned()));

    site.dce.revoke(&token);
    assert!(!site.dce.is_live(&token));
    assert_eq!(
        site.self_test(&token).await,
        (401, "Jwt verification fails".to_owned())
    );
    assert_ne!(
        site.token().await,
        token,
        "what was revoked never comes back"
    );
    assert_eq!(other.self_test(&foreign).await.0, 200);
    other.dce.revoke_all();
    assert!(other.dce.live().is_empty());
}

#[tokio::test]
async fn a_token_dies_at_its_exp() {
    let site = Site::new();
    site.dce.grant_at_most(Some(Duration::from_millis(1500)));
    let token = site.token().await;
    let claims = decode(&token, 1);
    let (iat, exp) = (
        claims["iat"].as_i64().unwrap(),
        claims["exp"].as_i64().unwrap(),
    );
    assert_eq!(exp - iat, 2, "rounded up to whole seconds");
    let refusal = eventually(DEADLINE, async || {
        let before = now();
        let (status, body) = site.self_test(&token).await;
        ensure!(status == 401 || before < exp, "accepted after its exp");
        ensure!(status == 401, "accepted");
        Ok(body)
    });
    assert_eq!(refusal.await.unwrap(), "Jwt is expired");
    assert!(now() >= exp, "refused before its exp");
    assert!(site.dce.live().is_empty());
    assert_eq!(site.dce.issued()[0].cycle_asked, Some(1));
}

#[tokio::test]
async fn the_user_list_is_for_admins_and_has_pages() {
    let site = Site::new();
    let (status, body) = read(
        site.get("users?page=1&pageSize=10")
            .bearer_auth(site.token().await),
    )
    .await;
    assert_eq!(
        (status, body.contains(r#""code":7"#)),
        (403, true),
        "{body}"
    );
    let (ak, sk) = site.dce.add_admin("root");
    let (_, body) = read(site.get(&format!("token?ak={ak}&sk={sk}"))).await;
    let token: Value = serde_json::from_str(&body).unwrap();
    let token = token["token"].as_str().unwrap();
    let (status, body) = read(site.get("users?page=2&pageSize=1").bearer_auth(token)).await;
    let list: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &list["items"][0]["name"]),
        (200, &json!("root")),
        "{body}"
    );
    assert_eq!(
        list["pagination"],
        json!({"page": 2, "pageSize": 1, "total": 2})
    );
    assert_eq!(
        read(site.get("users?page=x").bearer_auth(token)).await.0,
        400
    );
    assert_eq!(
        read(site.get("users?page=1001").bearer_auth(token)).await.0,
        400
    );
}

#[tokio::test]
async fn it_speaks_tls_below_a_prefix_to_those_who_trust_its_ca() {
    let options = DceOptions {
        tls: true,
        prefix: "/dce".to_owned(),
        ..DceOptions::default()
    };
    let site = Site::with(options);
    assert!(
        site.dce.endpoint().starts_with("https://127.0.0.1:")
            && site.dce.endpoint().ends_with("/dce")
    );
    let token = site.token().await;
    assert_eq!(site.self_test(&token).await.0, 200);

    let by_name = site.dce.endpoint().replace("127.0.0.1", "localhost");
    let by_name = site
        .client
        .get(format!("{by_name}/apis/ghippo.io/v1alpha1/current-user"));
    assert_eq!(read(by_name.bearer_auth(&token)).await.0, 200);
    let outside = site
        .dce
        .endpoint()
        .replace("/dce", "/apis/ghippo.io/v1alpha1/current-user");
    assert_eq!(read(site.client.get(outside)).await, (404, String::new()));
    let distrustful = Client::builder().no_proxy().build().unwrap();
    assert!(
        distrustful
            .get(site.dce.endpoint())
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );

    let routes: Vec<usize> = [TOKEN, CURRENT_USER, "GET *", "POST *"]
        .map(|route| site.dce.server().calls_to(route).len())
        .into();
    assert_eq!(routes, [1, 3, 4, 0]);
}
