//! Endpoints that are refused.

use serde_json::{Value, json};

use super::{Row, cluster_provider, provider, row, with, without};

const ENDPOINT: &str = "spec.dce.endpoint: ";
const ABSOLUTE: &str = "must be an absolute URL such as https://cloud.example.com";
const SCHEME: &str = "must start with https://";
const NO_LOGIN: &str =
    "must not hold a user name or password; the login belongs into the Secret that auth names";
const NO_QUERY: &str = "must not hold a query or a fragment";
const PLAIN: &str =
    "plain http sends the login over the network unprotected; use https, or set allowHTTP: true";
const FORM: &str = "must be a host with a port and a path where needed, and nothing else";

fn endpoint(endpoint: &str) -> Value {
    with(cluster_provider(), "spec/dce/endpoint", json!(endpoint))
}

/// The table.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (words, endpoints) in [
        (
            ABSOLUTE,
            &[
                "",
                "dce.example.com",
                "/dce",
                "//dce.example.com",
                "dce.example.com:443/x",
                "https:",
                "https:/dce",
                "https:dce.example.com",
                "https://",
                "://dce",
            ][..],
        ),
        (
            SCHEME,
            &[
                "ftp://dce.example.com",
                "file:///etc/passwd",
                "HTTPS://dce.example.com",
                "unix://run/dce",
                "httpss://dce.example.com",
            ],
        ),
        (
            NO_LOGIN,
            &[
                "https://user@dce.example.com",
                "https://user:password@dce.example.com",
                "https://:@dce.example.com",
                "https://dce.example.com/a@b",
            ],
        ),
        (
            NO_QUERY,
            &[
                "https://dce.example.com?a=b",
                "https://dce.example.com?",
                "https://dce.example.com/#top",
                "https://dce.example.com/dce#",
            ],
        ),
        (
            PLAIN,
            &["http://dce.example.com", "http://10.0.0.1:8080/dce"],
        ),
        (
            FORM,
            &[
                "https:///path",
                "https://:443",
                "https://dce.example.com:",
                "https://dce.example.com:0",
                "https://dce.example.com:65536",
                "https://dce.example.com:443443",
                "https://dce.example.com:https",
                "https://dce example.com",
                "https://dce.example.com/a b",
                " https://dce.example.com",
                "https://dce.example.com\n",
                "https://dce.example.com/\t",
                "https://dce.example.com\\evil",
                "https://[::1",
                "https://[::1]x",
                "https://dce.example.com/%zz",
                "https://-dce.example.com",
                "https://dce..example.com",
                "https://dcé.example.com",
                "https://{dce}",
                "https://dce.example.com,other.example.com",
            ],
        ),
    ] {
        for text in endpoints {
            // A space in front hides the scheme, and the message is about that.
            let words = if text.starts_with(' ') {
                ABSOLUTE
            } else {
                words
            };
            rows.push(row(
                &format!("the endpoint {text:?}"),
                endpoint(text),
                &[ENDPOINT, words],
            ));
        }
    }
    let long = format!("https://dce.example.com/{}", "a".repeat(1024));
    rows.push(row(
        "an endpoint that is too long",
        endpoint(&long),
        &[ENDPOINT, "may not be more than 1024"],
    ));
    rows.push(row(
        "an endpoint that is no text",
        with(cluster_provider(), "spec/dce/endpoint", json!(443)),
        &[ENDPOINT, "must be of type string"],
    ));
    rows.push(row(
        "no endpoint",
        without(cluster_provider(), "spec/dce/endpoint"),
        &["spec.dce.endpoint: Required value"],
    ));
    let refused = with(
        with(
            provider(),
            "spec/dce/endpoint",
            json!("http://dce.example.com"),
        ),
        "spec/dce/allowHTTP",
        json!(false),
    );
    rows.push(row(
        "plain http that is not allowed",
        refused,
        &[ENDPOINT, PLAIN],
    ));
    rows
}
