//! The simulator as a process of its own.

use std::process::Stdio;

use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::{DEADLINE, read};

#[tokio::test]
async fn the_process_tells_where_it_is_takes_orders_and_ends_with_its_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_dce-simulator"))
        .args(["--tls", "--guard", "--prefix", "/dce", "--user", "carol"])
        .args(["--admin", "--grant-at-most", "600", "--dir"])
        .arg(dir.path().join("made"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let line = timeout(DEADLINE, stdout.read_line(&mut ready));
    line.await.expect("it says that it is ready").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let field = |name: &str| ready[name].as_str().unwrap().to_owned();

    let ca = Certificate::from_pem(&std::fs::read(field("ca")).unwrap()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([ca]);
    let client = client.build().unwrap();
    let endpoint = field("endpoint");
    let root = endpoint.strip_suffix("/dce").unwrap();
    let api = format!("{endpoint}/apis/ghippo.io/v1alpha1");

    let ask = async |ak: &str, sk: &str| {
        let (status, body) = read(client.get(format!("{api}/token?ak={ak}&sk={sk}"))).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        (
            status,
            body["token"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let order = async |order: &str, body: String| {
        read(client.post(format!("{root}/_sim/{order}")).body(body)).await
    };
    let (status, token) = ask(&field("ak"), &field("sk")).await;
    assert_eq!(status, 200);
    let users = client.get(format!("{api}/users")).bearer_auth(&token);
    assert_eq!(read(users).await.0, 200, "an admin");

    assert_eq!(order("accepts", format!("{token}\n")).await.0, 200);
    assert_eq!(order("revoke", token.clone()).await.0, 200);
    assert_eq!(order("accepts", token).await.0, 410);
    let (_, pair) = order("change-pair?user=carol", String::new()).await;
    let pair: Value = serde_json::from_str(&pair).unwrap();
    assert_eq!(ask(&field("ak"), &field("sk")).await.0, 401);
    let (ak, sk) = (pair["ak"].as_str().unwrap(), pair["sk"].as_str().unwrap());
    assert_eq!(ask(ak, sk).await.0, 200);
    let (_, ledger) = read(client.get(format!("{root}/_sim/ledger"))).await;
    let expected = json!({"issued": 2, "live": 1, "tokenRequests": 3, "loginsRefused": 1});
    assert_eq!(serde_json::from_str::<Value>(&ledger).unwrap(), expected);
    assert_eq!(order("revoke-all", String::new()).await.0, 200);
    assert_eq!(order("grant-at-most?seconds=x", String::new()).await.0, 400);
    assert_eq!(order("grant-at-most?seconds=0", String::new()).await.0, 200);
    let (_, dead) = ask(ak, sk).await;
    assert_eq!(order("accepts", dead).await.0, 410);

    drop(process.stdin.take());
    let ended = timeout(DEADLINE, process.wait()).await.expect("it ends");
    assert!(ended.unwrap().success());
}

#[tokio::test]
async fn the_process_gives_an_access_key_where_there_are_no_token_requests() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_dce-simulator"))
        .args(["--guard", "--generation", "from-0.14", "--user", "carol"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let line = timeout(DEADLINE, stdout.read_line(&mut ready));
    line.await.expect("it says that it is ready").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let endpoint = ready["endpoint"].as_str().unwrap();
    let key = &ready["accessKey"];

    let client = Client::builder().no_proxy().build().unwrap();
    let test = client.get(format!("{endpoint}/apis/ghippo.io/v1alpha1/current-user"));
    let test = test.bearer_auth(key["token"].as_str().unwrap());
    assert!(read(test).await.1.contains("carol"));
    let (_, keys) = read(client.get(format!("{endpoint}/_sim/access-keys"))).await;
    let expected = json!([{
        "id": key["id"], "name": "login", "user": "carol", "deleted": false, "live": true,
    }]);
    assert_eq!(serde_json::from_str::<Value>(&keys).unwrap(), expected);
}
