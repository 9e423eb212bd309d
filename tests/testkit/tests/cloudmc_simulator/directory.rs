//! Connections, environments, users: what is listed for whom.

use serde_json::json;
use testkit::cloudmc::{Person, Rights, Service};

use super::{Got, NOBODY, Site};

const FORBIDDEN: &str = "You are not authorized to perform this request";

fn missing(kind: &str) -> (u16, String) {
    (
        404,
        format!("Cannot locate the specified object of type {kind}"),
    )
}

fn forbidden() -> (u16, String) {
    (403, FORBIDDEN.to_owned())
}

/// Lists say how long they are.
fn ids(got: &Got) -> Vec<String> {
    let ids = got.column("id");
    assert_eq!(got.json()["metadata"], json!({"recordCount": ids.len()}));
    ids
}

fn reader() -> Rights {
    Rights {
        read_all: true,
        ..Rights::default()
    }
}

fn manager() -> Rights {
    Rights {
        manage_connections: true,
        ..Rights::default()
    }
}

#[tokio::test]
async fn connections_are_those_of_the_organization() {
    let site = Site::new();
    let all = [site.compute.clone(), site.storage.clone()];
    let path = "/services/connections";
    let list = site.get(path, &site.alice).await;
    assert_eq!(ids(&list), all);
    let first = list.data()[0].clone();
    let expected = json!({
        "id": site.compute, "serviceCode": "compute-qc", "name": "Compute - Québec", "type": "cloudca",
        "status": {"lastUpdated": first["status"]["lastUpdated"], "reachable": true},
    });
    assert_eq!(first, expected);
    let updated = first["status"]["lastUpdated"].as_str().unwrap();
    assert_eq!(
        (updated.len(), updated.ends_with('Z')),
        (24, true),
        "{updated}"
    );
    assert_eq!(ids(&site.get(path, &site.zoe).await), [&*site.storage]);

    let of = |organization: &str| format!("{path}?organizationId={organization}");
    let own = site.get(&of(&site.acme), &site.alice).await;
    assert_eq!(ids(&own), all);
    for organization in [&*site.other, NOBODY] {
        let foreign = site.get(&of(organization), &site.alice).await;
        assert_eq!(foreign.refusal(), forbidden());
    }
    site.cloudmc.set_rights(&site.alice.id, manager());
    let foreign = site.get(&of(&site.other), &site.alice).await;
    assert_eq!(ids(&foreign), [&*site.storage]);
    let nobody = site.get(&of(NOBODY), &site.alice).await;
    assert_eq!(nobody.refusal(), missing("organizations"));

    let one = |id: &str| format!("{path}/{id}");
    let documented = site.get(&one(&site.compute), &site.bob).await;
    assert_eq!(
        documented.column("serviceCode"),
        ["compute-qc"],
        "an array of one"
    );
    for id in [&*site.compute, NOBODY] {
        assert_eq!(
            site.get(&one(id), &site.zoe).await.refusal(),
            missing("connections")
        );
    }
}

#[tokio::test]
async fn the_provider_s_own_credentials_are_there_to_be_left_alone() {
    let site = Site::new();
    let path = format!("/services/connections/{}/parameters", site.storage);
    assert_eq!(site.get(&path, &site.alice).await.refusal(), forbidden());
    assert_eq!(site.cloudmc.counts().parameters, 1);
    site.cloudmc.set_rights(&site.alice.id, manager());
    let parameters = site.get(&path, &site.alice).await.data();
    let value = parameters[0]["value"].as_str().unwrap().to_owned();
    assert!(value.starts_with("ADMINMARK-"));
    assert_eq!(parameters[0]["parameter"], "jsonCredentials");
    assert_eq!(parameters[0]["serviceConnection"]["id"], site.storage);
    assert!(site.cloudmc.secret_values().contains(&value));
    assert_eq!(site.call(&format!("GET {path}"), None).await.status, 401);
    assert_eq!(site.cloudmc.counts().parameters, 3);
}

#[tokio::test]
async fn environments_are_those_of_which_one_is_a_member() {
    let site = Site::new();
    let Site {
        machines,
        prod,
        test,
        theirs,
        ..
    } = &site;
    let rows: [(&Person, Vec<&String>); 3] = [
        (&site.alice, vec![machines, prod, test]),
        (&site.bob, vec![prod]),
        (&site.zoe, vec![theirs]),
    ];
    for (caller, seen) in rows {
        let list = site.get("/environments", caller).await;
        assert_eq!(ids(&list).iter().collect::<Vec<_>>(), seen);
        for id in [machines, prod, test, theirs] {
            let got = site.get(&format!("/environments/{id}"), caller).await;
            match seen.contains(&id) {
                true => assert_eq!(got.data()["id"], **id),
                false => assert_eq!(got.refusal(), forbidden()),
            }
        }
    }
    let unknown = site
        .get(&format!("/environments/{NOBODY}"), &site.alice)
        .await;
    assert_eq!(unknown.refusal(), missing("environments"));

    let got = site
        .get(&format!("/environments/{prod}"), &site.bob)
        .await
        .data();
    let expected = json!({
        "id": prod, "name": "prod", "description": "", "membership": "MANY_USERS",
        "creationDate": got["creationDate"],
        "organization": {"id": site.acme, "name": "acme", "entryPoint": "acme"},
        "serviceConnection": {"id": site.storage, "name": "Objects"},
        "roles": got["roles"], "users": got["users"],
    });
    assert_eq!(got, expected);
    let names = |members: &serde_json::Value, name: &str| {
        let members = members.as_array().unwrap().iter();
        let mut names: Vec<String> = members
            .map(|member| member[name].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&got["users"], "userName"), ["alice", "bob"]);
    assert_eq!(names(&got["roles"][0]["users"], "name"), ["alice", "bob"]);

    site.cloudmc.set_rights(&site.bob.id, reader());
    let list = site.get("/environments", &site.bob).await;
    assert_eq!(ids(&list).len(), 3, "of the own organization");
    site.cloudmc.delete_environment(prod);
    assert_eq!(ids(&site.get("/environments", &site.alice).await).len(), 2);
}

#[tokio::test]
async fn users_see_themselves_and_so_try_out_their_key() {
    let site = Site::new();
    let list = site.get("/users", &site.alice).await;
    assert_eq!(ids(&list), [&*site.alice.id]);
    let user = list.data()[0].clone();
    assert_eq!(
        (&user["userName"], &user["status"]),
        (&json!("alice"), &json!("ACTIVE"))
    );
    assert_eq!(
        user["organization"],
        json!({"id": site.acme, "name": "acme"})
    );
    let path = |id: &str| format!("/users/{id}");
    let itself = site.get(&path(&site.alice.id), &site.alice).await.data();
    let environments = itself["environments"].as_array().unwrap();
    assert_eq!(environments.len(), 3);
    assert_eq!(environments[1], json!({"id": site.prod, "name": "prod"}));
    let bob = site.get(&path(&site.bob.id), &site.alice).await;
    assert_eq!(bob.refusal(), forbidden());
    let nobody = site.get(&path(NOBODY), &site.alice).await;
    assert_eq!(nobody.refusal(), missing("users"));

    site.cloudmc.set_rights(&site.alice.id, reader());
    let list = site.get("/users", &site.alice).await;
    assert_eq!(list.column("userName"), ["alice", "bob"]);
    let bob = site.get(&path(&site.bob.id), &site.alice).await.data();
    assert_eq!(bob["email"], "bob@example.com");
    assert_eq!(
        site.get(&path(&site.zoe.id), &site.alice).await.refusal(),
        forbidden()
    );
}

#[tokio::test]
async fn names_may_be_odd_and_ids_too() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudmc, &site.alice);
    let names = [
        "a/b",
        "..",
        "",
        "two words",
        "Ω≈ç\n",
        "%2e%2e",
        "same",
        "same",
    ];
    for name in names {
        let connection = simulator.add_connection(&site.acme, name, name, Service::Compute);
        let environment = simulator.add_environment(&site.acme, &connection, name);
        simulator.add_member(&environment, &alice.id);
        let odd = format!("{name}/../{}?x#y", connection.len());
        simulator.set_connection_id(&connection, &odd);
        simulator.set_environment_id(&environment, &format!("{odd}&z"));
    }
    let list = site.get("/environments", alice).await;
    assert_eq!(list.column("name")[3..], names);
    assert_eq!(list.column("id")[3], "a/b/../36?x#y&z");
    assert_eq!(list.data()[3]["serviceConnection"]["id"], "a/b/../36?x#y");

    let (connection, environment) = ("a%2Fb%2F..%2F36%3Fx%23y", "a%2Fb%2F..%2F36%3Fx%23y%26z");
    let values = site.values(connection, environment, alice).await;
    assert!(values.value("api_key").starts_with("APIKEYMARK-"));
    let got = site
        .get(&format!("/environments/{environment}"), alice)
        .await;
    assert_eq!(got.data()["name"], "a/b");
    let unencoded = site.values("a/b/../36", environment, alice).await;
    assert_eq!(unencoded.refusal().0, 404);
    let broken = site.get("/environments/%zz", alice).await;
    assert_eq!(
        broken.refusal(),
        (400, "The path is not encoded well".to_owned())
    );
}
