//! What somebody writes into a status or an annotation while the operator is not there, so that it
//! remembers nothing better: no credential of another one is revoked on the word of it.

use kube::api::{Patch, PatchParams};

use super::*;

/// What an attacker asks for beside what he forges.
#[derive(Clone, Copy, Debug)]
enum Asks {
    /// A rotation; and the forged record takes the place of his own.
    Rotation,
    /// That all older ones be revoked at once.
    Revocation,
    /// That the victim's credential be given up.
    Abandonment,
}

impl Asks {
    const ALL: [Asks; 3] = [Asks::Rotation, Asks::Revocation, Asks::Abandonment];

    /// The name of the attacker's request.
    fn of(self, victim: &str) -> String {
        format!("{victim}-{self:?}").to_lowercase()
    }
}

async fn forge_status(rig: &Rig, name: &str, status: Value) {
    let patch = json!({ "status": status });
    rig.stage
        .requests()
        .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

pub async fn forge_annotations(rig: &Rig, secret: &str, annotations: Value) {
    let patch = json!({"metadata": {"annotations": annotations}});
    rig.stage
        .api::<Secret>()
        .patch(secret, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// Puts a victim's credential into the status of an attacker's request, and asks for something.
async fn forge(rig: &Rig, asks: Asks, name: &str, victim: &CredentialRequestStatus) {
    let own = status(&rig.stage.requests().get(name).await.unwrap());
    let mut own = serde_json::to_value(&own.credentials[0]).unwrap();
    let mut forged = serde_json::to_value(&victim.credentials[0]).unwrap();
    forged["state"] = json!("Retiring");
    forged["revokeAfter"] = json!("2020-01-01T00:00:00Z");
    forged["serial"] = json!(7);
    let id = victim.credentials[0].id.clone().unwrap();
    match asks {
        Asks::Rotation => {
            forged["serial"] = json!(1);
            own["serial"] = json!(2);
        }
        Asks::Revocation | Asks::Abandonment => {}
    }
    forge_status(rig, name, json!({"credentials": [own, forged]})).await;
    if !matches!(asks, Asks::Abandonment) {
        // And in the Secret, beside what it holds.
        let annotations = json!({
            "credential-operator.dev/credential-id": id,
            "credential-operator.dev/owner": victim.credentials[0].owner,
        });
        forge_annotations(rig, name, annotations).await;
    }
    let (annotation, value) = match asks {
        Asks::Rotation => ("rotate", "1"),
        Asks::Revocation => ("revoke-retiring", "1"),
        Asks::Abandonment => ("abandon", &*id),
    };
    let annotation = format!("credential-operator.dev/{annotation}");
    rig.stage.annotate(name, &annotation, value).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_victim_s_credential_is_not_revoked_on_the_word_of_status_or_annotation() {
    const VICTIMS: [&str; 2] = ["victim", "victim-app"];
    let mut rig = Rig::new("ks-forged").await;
    rig.stage.start().await;
    let mut attackers = Vec::new();
    for victim in VICTIMS {
        let request = |name: &str| match victim {
            "victim" => rig.access_key(name),
            _ => rig.application_credential(name),
        };
        rig.stage.apply(&request(victim)).await;
        for asks in Asks::ALL {
            let name = asks.of(victim);
            let mut request = request(&name);
            request["spec"]["renewal"] = json!({"overlap": "1s"});
            rig.stage.apply(&request).await;
            attackers.push((asks, name, victim));
        }
    }
    rig.stage.all_ready().await;
    let mut secrets = Vec::new();
    for victim in VICTIMS {
        secrets.push(rig.stage.secret(victim).await);
    }
    rig.stage.kill();
    for (asks, name, victim) in &attackers {
        let victim = status(&rig.stage.requests().get(victim).await.unwrap());
        forge(&rig, *asks, name, &victim).await;
    }
    let mark = rig.wire.mark();
    rig.stage.start().await;
    for (asks, name, _) in &attackers {
        rig.stage
            .until(name, "done and tidied up", |request| {
                let status = status(request);
                let done = match asks {
                    Asks::Rotation => status.rotated.as_deref() == Some("1"),
                    Asks::Revocation => status.revoked_retiring.as_deref() == Some("1"),
                    Asks::Abandonment => true,
                };
                done && status.credentials.len() == 1
            })
            .await;
    }
    for (_, name, _) in &attackers {
        rig.delete(name).await;
    }
    for (_, name, _) in &attackers {
        rig.gone(name).await;
    }
    // What is left is the victims', whole and untouched, and all of the attackers' is gone.
    let ids =
        |victim: &Secret| victim.annotations()["credential-operator.dev/credential-id"].clone();
    let [pair, app] = [ids(&secrets[0]), ids(&secrets[1])];
    let left: Vec<_> = rig.pairs().await.into_iter().map(|one| one.id).collect();
    assert_eq!(left, std::slice::from_ref(&pair));
    let left = rig.application_credentials().await;
    let left: Vec<_> = left.into_iter().map(|one| one.id).collect();
    assert_eq!(left, std::slice::from_ref(&app));
    assert!(rig.accepts(&pair_in(&secrets[0])).await);
    for (victim, secret) in VICTIMS.into_iter().zip(&secrets) {
        assert_eq!(&rig.stage.secret(victim).await, secret, "{victim}");
    }
    for call in rig.wire.since(mark) {
        let about_victims = call.path.contains(&pair) || call.path.contains(&app);
        assert!(
            !(about_victims && call.is_changing()),
            "{} {}",
            call.method,
            call.path
        );
    }
    rig.finish().await;
}
