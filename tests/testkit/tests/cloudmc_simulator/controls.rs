//! What all simulators can do: base paths, TLS, faults, the log, and what nobody should call.

use anyhow::ensure;
use reqwest::Client;
use testkit::cloudmc::{
    API_INFO, CONNECTION, CONNECTIONS, CloudMcOptions, ENVIRONMENT, ENVIRONMENTS, PARAMETERS, USERS,
};
use testkit::server::Fault;
use testkit::wait::eventually;

use super::{DEADLINE, Site};

#[tokio::test]
async fn the_api_is_below_its_base_path_and_nowhere_else() {
    for base in ["/api/v1", "/api/v2", "/v1", "/api/v2/", ""] {
        let site = Site::with(CloudMcOptions {
            base_path: base.to_owned(),
            ..CloudMcOptions::default()
        });
        assert!(
            site.cloudmc
                .endpoint()
                .ends_with(base.trim_end_matches('/'))
        );
        let got = site.get("/users", &site.alice).await;
        assert_eq!(got.column("userName"), ["alice"], "{base}");
        let got = site.values(&site.storage, &site.prod, &site.alice).await;
        assert_eq!(got.value("identity_api_version"), "3");
        let calls = site.cloudmc.server().calls_to(API_INFO).len();
        assert_eq!((calls, site.cloudmc.counts().api_info), (1, 1));
        if base.is_empty() {
            continue;
        }
        let root = site.cloudmc.server().base_url();
        for path in ["/users", "/api/v3/users", "/api/v11/users", "/v11/users"] {
            let request = site.client.get(format!("{root}{path}"));
            let response = request
                .header("MC-Api-Key", &site.alice.api_key)
                .send()
                .await;
            let response = response.unwrap();
            assert_eq!((response.status().as_u16(), path), (404, path));
            assert!(
                response
                    .text()
                    .await
                    .unwrap()
                    .starts_with("<!DOCTYPE html>")
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_changes_something_is_refused_and_counted() {
    let site = Site::new();
    let key = Some(&*site.alice.api_key);
    let info = format!("/services/connections/{}/apiInfo", site.storage);
    for (line, status) in [
        ("GET /nowhere".to_owned(), 404),
        (format!("GET {info}/regenerate"), 404),
        (format!("POST {info}/regenerate"), 404),
        (format!("POST {info}?operation=regenerate"), 405),
        (
            format!("DELETE /services/connections/{}", site.storage),
            405,
        ),
        ("POST /environments".to_owned(), 405),
        (format!("PUT /users/{}", site.alice.id), 405),
    ] {
        let (got, message) = site.call(&line, key).await.refusal();
        assert_eq!(got, status, "{line}: {message}");
    }
    let counts = site.cloudmc.counts();
    assert_eq!((counts.changing, counts.parameters), (5, 0));
    let head = site.call("HEAD /users", key).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(site.cloudmc.counts().changing, 5);
}

#[tokio::test]
async fn it_speaks_tls_to_those_who_trust_its_authority() {
    let site = Site::with(CloudMcOptions {
        tls: true,
        ..CloudMcOptions::default()
    });
    assert!(site.cloudmc.endpoint().starts_with("https://127.0.0.1:"));
    assert_eq!(site.get("/users", &site.alice).await.status, 200);
    let distrustful = Client::builder().no_proxy().build().unwrap();
    let refused = distrustful.get(site.cloudmc.endpoint()).send().await;
    assert!(refused.unwrap_err().is_connect());
}

#[tokio::test]
async fn faults_meet_their_routes_and_the_log_tells_of_them() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudmc, &site.alice);
    let connection = format!("/services/connections/{}", site.storage);
    let environment = format!("/environments/{}", site.prod);
    let parameters = format!("{connection}/parameters");
    let info = format!("{connection}/apiInfo");
    for (route, path) in [
        (CONNECTIONS, "/services/connections"),
        (CONNECTION, &connection),
        (API_INFO, &info),
        (PARAMETERS, &parameters),
        (ENVIRONMENTS, "/environments"),
        (ENVIRONMENT, &environment),
        (USERS, "/users"),
    ] {
        simulator.faults().push_n(route, Fault::Html(502), 1);
        assert_eq!(site.get(path, alice).await.status, 502, "{route}");
        assert_eq!(simulator.faults().pending(), 0, "{route}");
    }
    let counts = simulator.counts();
    assert_eq!(
        (counts.api_info, counts.parameters, counts.accepted),
        (1, 1, 0)
    );

    simulator.faults().set(API_INFO, Fault::Hang);
    let before = simulator.calls().len();
    let asked = (0..3).map(|_| site.values(&site.storage, &site.prod, alice));
    let release = async {
        let three = eventually(DEADLINE, async || {
            ensure!(simulator.calls().len() == before + 3, "not yet");
            Ok(())
        });
        three.await.unwrap();
        simulator.faults().clear();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(asked), release);
    assert!(answers.iter().all(|got| got.status == 200));
    assert_eq!(simulator.max_in_flight(API_INFO), 3);
    let query = format!("environmentId={}", site.prod);
    assert_eq!(simulator.calls().last().unwrap().query, query);

    simulator.down(true);
    let request = site.client.get(simulator.endpoint() + "/users");
    assert!(request.send().await.is_err());
    simulator.down(false);
    assert_eq!(site.get("/users", alice).await.status, 200);
}

#[tokio::test]
async fn what_is_public_is_no_secret() {
    let site = Site::new();
    let secrets = site.cloudmc.secret_values();
    let fields = site.cloudmc.fields(&site.alice.id, &site.prod);
    let open = fields
        .iter()
        .filter(|field| !field.sensitive)
        .map(|field| field.text());
    for public in open.chain([&*site.alice.id, "alice", "acme", ""]) {
        assert!(secrets.iter().all(|known| known != public), "{public}");
    }
    let marks = [
        "MCKEYMARK-",
        "PWMARK-",
        "SKMARK-",
        "APIKEYMARK-",
        "ADMINMARK-",
    ];
    for mark in marks {
        assert!(
            secrets.iter().any(|known| known.starts_with(mark)),
            "{mark}"
        );
    }
}
