//! Pairs that are there already: they are shared and never revoked, and which one is meant is never a
//! guess.

use super::*;

/// Makes a pair of the login's user behind the operator's back.
fn add(rig: &Rig, access: &str) -> (String, String) {
    let Cloud::Simulated(keystone) = &rig.keystone.cloud else {
        panic!("this story has a simulator");
    };
    let secret = format!("the-secret-of-{access}");
    let (user, project) = (&rig.keystone.user.id, &rig.keystone.project_id);
    keystone.add_pair(user, project, access, &secret);
    (access.to_owned(), secret)
}

fn remove(rig: &Rig, access: &str) {
    let Cloud::Simulated(keystone) = &rig.keystone.cloud else {
        panic!("this story has a simulator");
    };
    assert!(keystone.revoke_pair(access));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_is_shared_and_never_revoked_and_ambiguity_is_told() {
    let mut rig = Rig::simulated("soda-adopt", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    // What is made for a request goes with it: it does not count.
    let own = rig.ready("own", json!({})).await;
    let adopt = json!({"adopt": true});
    rig.stage().apply(&rig.request("none", adopt.clone())).await;
    let words = rig.not_ready("none", "ScopeRefused").await;
    assert!(words.contains("no pair"), "{words}");

    let one = add(&rig, "AKONE");
    let mut request = rig.request("it", adopt.clone());
    request["spec"]["renewal"] = json!({"verifyEvery": "300ms"});
    rig.stage().apply(&request).await;
    let ready = rig.stage().ready("it").await;
    assert_eq!(rig.keystone.pair("it").await, one);
    rig.is_taken_by_s3(&one).await;
    let status = ready.status.as_ref().unwrap();
    let kind = Some("soda.accessKey.adopt");
    assert_eq!(status.credential.as_deref(), kind);
    assert_eq!(ready.metadata.finalizers, None, "nothing will be revoked");

    // A second one: who holds one keeps it, and who holds none cannot tell.
    let two = add(&rig, "AKTWO");
    rig.rotate("it", "1").await;
    rig.rotated("it", "1").await;
    assert_eq!(rig.keystone.pair("it").await, one);
    rig.stage().apply(&rig.request("which", adopt)).await;
    let words = rig.not_ready("which", "ScopeRefused").await;
    for part in ["ambiguous", "AKONE", "AKTWO", "accessKeyID"] {
        assert!(words.contains(part), "{words}");
    }
    let named = json!({"adopt": true, "accessKeyID": "AKTWO"});
    assert_eq!(rig.ready("which", named).await, two);
    let nobody = json!({"adopt": true, "accessKeyID": "AKNOBODY"});
    rig.stage().apply(&rig.request("nobody", nobody)).await;
    let words = rig.not_ready("nobody", "ScopeRefused").await;
    assert!(words.contains("AKNOBODY"), "{words}");
    // Another request's, by its name: it would be revoked under who shares it.
    let owned = json!({"adopt": true, "accessKeyID": own.0});
    rig.stage().apply(&rig.request("owned", owned)).await;
    let words = rig.not_ready("owned", "ScopeRefused").await;
    assert!(words.contains("was made for a request"), "{words}");

    // Gone at Keystone: the only one that is left is taken; when none is left, the Secret stays.
    remove(&rig, "AKONE");
    let holds = |pair: (String, String)| {
        let rig = &rig;
        async move {
            eventually(SOON, || async {
                anyhow::ensure!(rig.keystone.pair("it").await == pair);
                Ok(())
            })
            .await
            .unwrap();
        }
    };
    holds(two.clone()).await;
    remove(&rig, "AKTWO");
    let words = rig.not_ready("it", "ScopeRefused").await;
    assert!(words.contains("no pair"), "{words}");
    assert_eq!(rig.keystone.pair("it").await, two);

    let three = add(&rig, "AKTHREE");
    // The next attempt is far off; a wish is carried out at once.
    rig.rotate("it", "2").await;
    request["spec"]["soda"]["accessKey"]["accessKeyID"] = json!("AKTHREE");
    rig.stage().apply(&request).await;
    holds(three.clone()).await;

    // Roles that a grant lists no more: only Keystone knows that the login has others.
    let mut narrow = rig.provider();
    narrow["spec"]["allow"][0]["soda"]["roles"] = json!(["reader"]);
    rig.stage().apply(&narrow).await;
    let told = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
    rig.stage().until("it", "NotAllowed", told).await;
    assert_eq!(rig.keystone.pair("it").await, three);
    rig.stage().apply(&rig.provider()).await;
    let well = |it: &CredentialRequest| status_of(it, "Ready") == ("True", "Synced");
    rig.stage().until("it", "Ready", well).await;
    for name in ["none", "it", "which", "nobody", "owned", "own"] {
        rig.delete(name).await;
    }
    assert!(rig.keystone.accepts(&three).await, "it lives on");
    assert!(!rig.keystone.accepts(&own).await);
    assert_eq!(rig.creates(), 0);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_sodas_s3_refuses_is_not_shared_and_the_request_says_why() {
    let mut rig = Rig::simulated("soda-unfit", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    let Cloud::Simulated(keystone) = &rig.keystone.cloud else {
        panic!("this story has a simulator");
    };
    let (user, project) = (&rig.keystone.user.id, &rig.keystone.project_id);
    // As `openstack ec2 credentials create` makes one, and two that some other tool has made.
    let long = "45ceefc680cc89abda9dcf3df0188161";
    for (name, access, secret, defect) in [
        ("long", long, "the-secret-of-a-long-one", "5 to 20 letters"),
        ("break", "AKBREAK", "the-secret\nhas-a-break", "secret key"),
        ("accent", "AKACCENT", "the-sécret-has-one", "secret key"),
    ] {
        keystone.add_pair(user, project, access, secret);
        let adopt = json!({"adopt": true});
        rig.stage().apply(&rig.request(name, adopt)).await;
        let words = rig.not_ready(name, "ScopeRefused").await;
        for part in [&access[..6], defect, "make another one"] {
            assert!(words.contains(part), "{words}");
        }
        let named = format!("{name}-named");
        let adopt = json!({"adopt": true, "accessKeyID": access});
        rig.stage().apply(&rig.request(&named, adopt)).await;
        let words = rig.not_ready(&named, "ScopeRefused").await;
        for part in [defect, "accessKeyID"] {
            assert!(words.contains(part), "{words}");
        }
        let through = format!("{name}-through");
        let soda = json!({"issueThrough": "Soda"});
        rig.stage().apply(&rig.request(&through, soda)).await;
        let words = rig.not_ready(&through, "ScopeRefused").await;
        for part in [defect, "delete it at Keystone"] {
            assert!(words.contains(part), "{words}");
        }
        // A good one beside it is taken.
        let good = add(&rig, "AKGOOD");
        let adopt = json!({"adopt": true});
        let beside = format!("{name}-beside");
        assert_eq!(rig.ready(&beside, adopt).await, good);
        rig.is_taken_by_s3(&good).await;
        for name in [name, &named, &through, &beside] {
            rig.delete(name).await;
        }
        for access in [access, "AKGOOD"] {
            remove(&rig, access);
        }
    }
    assert_eq!(rig.creates(), 0);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ways_that_no_grant_opens_are_refused_before_anybody_is_asked() {
    let mut rig = Rig::simulated("soda-grants", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    let narrow = |field: &str, value: Value| {
        let mut provider = rig.provider();
        let grant = &mut provider["spec"]["allow"][0]["soda"];
        for way in ["issueThroughSoda", "adopt", "deleteAll"] {
            grant.as_object_mut().unwrap().remove(way);
        }
        grant[field] = value;
        provider
    };
    rig.stage()
        .apply(&narrow("kinds", json!(["accessKey"])))
        .await;
    rig.provider_says("True", "LoginWorks").await;
    let asked = rig.soda.calls().len();
    for (name, fields, said) in [
        (
            "adopt",
            json!({"adopt": true}),
            "adopt: true is not allowed",
        ),
        (
            "through",
            json!({"issueThrough": "Soda"}),
            "issueThrough: Soda is not allowed",
        ),
    ] {
        rig.stage().apply(&rig.request(name, fields)).await;
        let words = rig.not_ready(name, "NotAllowed").await;
        assert!(words.contains(said), "{words}");
    }
    assert_eq!(rig.soda.calls().len(), asked);

    // A role that the grant does not list is not handed on.
    rig.stage().apply(&narrow("roles", json!(["reader"]))).await;
    rig.stage().apply(&rig.request("it", json!({}))).await;
    let words = rig.not_ready("it", "NotAllowed").await;
    assert!(words.contains("role member"), "{words}");
    assert!(rig.keystone.pairs().await.is_empty());
    rig.finish().await;
}
