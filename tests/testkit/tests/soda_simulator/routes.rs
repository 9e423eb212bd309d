//! What go-restful makes of a request before anybody looks at the token.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::soda::Generation;

use super::Site;

#[tokio::test]
async fn unknown_paths_and_methods_are_refused_in_text() {
    let (site, _keystone) = Site::new(Generation::Strato);
    for (line, status, words) in [
        ("GET /v1/p/aksks", 405, "405: Method Not Allowed"),
        ("PUT /v1/p/aksks", 405, "405: Method Not Allowed"),
        ("POST /v1/p/aksks/u", 405, "405: Method Not Allowed"),
        (
            "DELETE /v1/p/aksks/u/download",
            405,
            "405: Method Not Allowed",
        ),
        ("GET /v1/p/aksks/u/x", 404, "404: Page Not Found"),
        ("GET /v1/p/aksks/", 404, "404: Page Not Found"),
        ("DELETE /v1/p/aksks/", 404, "404: Page Not Found"),
        ("GET /v2/p/aksks/u", 404, "404: Page Not Found"),
        ("GET /", 404, "404: Page Not Found"),
    ] {
        let got = site.call(line, "", Value::Null).await;
        assert_eq!(got.both(), (status, words), "{line}");
        assert_eq!(got.header("content-type"), "text/plain", "{line}");
    }
    assert_eq!(site.soda.delete_calls(), 2, "they count, refused or not");
    assert!(site.soda.deletions().is_empty());
}

#[tokio::test]
async fn a_body_must_be_declared_as_json_and_json_must_be_welcome() {
    let (site, _keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    let body = site.both(&site.alice).to_string();
    let create = site.create();
    let read = site.read(&site.alice);
    let rows = [
        (&create, "content-type", "", 415),
        (&create, "content-type", "text/plain", 415),
        (&create, "content-type", "application/json", 200),
        (
            &create,
            "content-type",
            "application/json; charset=utf-8",
            200,
        ),
        (&read, "content-type", "", 200),
        (&read, "content-type", "text/plain", 415),
        (&read, "accept", "text/html", 406),
        (&read, "accept", "application/*", 406),
        (&read, "accept", "text/html, application/json;q=0.5", 200),
        (&read, "accept", "*/*", 200),
    ];
    for (line, header, value, status) in rows {
        let (method, path) = line.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let posts = method == Method::POST;
        let request = site.client.request(method, site.soda.url() + path);
        let mut request = request.header("x-auth-token", &token);
        if !value.is_empty() {
            request = request.header(header, value);
        }
        if posts {
            request = request.body(body.clone());
        }
        let got = request.send().await.unwrap();
        assert_eq!(got.status(), status, "{line} {header}: {value}");
    }
    let wrong = site.client.get(site.soda.url() + "/v1/p/aksks/u");
    let wrong = wrong.header("accept", "text/html").send().await.unwrap();
    let words = wrong.text().await.unwrap();
    assert_eq!(words, "406: Not Acceptable", "before the token is missed");
}

#[tokio::test]
async fn the_project_in_the_path_is_compared_with_nothing() {
    let (site, _keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    let body = site.both(&site.alice);
    let got = site.call("POST /v1/any/aksks", &token, body).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let line = format!("GET /v1/thing/aksks/{}", site.alice.id);
    let got = site.call(&line, &token, Value::Null).await.json();
    assert_eq!(got[0]["project_id"], json!(site.project));
}
