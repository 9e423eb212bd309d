//! What becomes of keys when a Secret is damaged, and of those that a crash has left behind.

use kube::api::{Patch, PatchParams};
use testkit::{
    dce::Lie,
    wire::{Fault, RuleHandle},
};

use super::*;
use crate::stage::status_of;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_read_again_is_replaced_when_its_secret_is_damaged() {
    let mut rig = Rig::new("dce-damage").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("key", 1000)).await;
    rig.stage.ready("key").await;
    let mut key = rig.key("key").await;
    let secrets = rig.stage.api::<Secret>();
    let damage = async |data: Value| {
        let patch = Patch::Merge(json!({ "data": data }));
        let params = PatchParams::default();
        secrets.patch("key", &params, &patch).await.unwrap();
    };
    // What is left of it is enough.
    for data in [json!({"token": "eA=="}), json!({"authorization": null})] {
        damage(data).await;
        eventually(SOON, || async {
            let secret = rig.stage.secret("key").await;
            anyhow::ensure!(value(&secret, "token") == key.token);
            let bearer = format!("Bearer {}", key.token);
            anyhow::ensure!(value(&secret, "authorization") == bearer);
            Ok(())
        })
        .await
        .unwrap();
    }
    // Nothing of it is left: DCE shows no key twice.
    for serial in 2..4 {
        if serial == 2 {
            damage(json!({"token": "eA==", "authorization": null})).await;
        } else {
            secrets.delete("key", &Default::default()).await.unwrap();
        }
        rig.until("key", serial, 1).await;
        let replaced = rig.stage.ready("key").await;
        let new = rig.key("key").await;
        assert_eq!(new.name, derived(&replaced, serial));
        assert!(!rig.works(&key), "nobody has it any more");
        assert_eq!(rig.made(), std::slice::from_ref(&new));
        key = new;
    }
    rig.remove("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}

/// Holds the call that makes a key, once DCE has made it.
fn hold_the_answer(rig: &Rig) -> RuleHandle {
    let creates = |call: &CallHead| dce_label(call) == "POST current-user/accesstoken";
    rig.wire.rule(creates, Fault::HoldAfter, Some(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_by_the_derived_name_that_no_secret_holds_is_deleted_after_a_crash() {
    let mut rig = Rig::new("dce-crash").await;
    rig.stage.start().await;
    rig.provider_ready().await;
    let held = hold_the_answer(&rig);
    rig.stage.apply(&rig.request("key", 1000)).await;
    held.hit(SOON).await.unwrap();
    rig.stage.kill();
    held.remove();
    let [unseen] = rig.made().try_into().unwrap();
    // Names are no identity at DCE: more than one key can bear this one, and the names of others look alike.
    let twin = rig.stage.dce.add_access_key(USER, &unseen.name, None);
    let alike = [
        rig.stage
            .dce
            .add_access_key(USER, &format!("{}0", unseen.name), None),
        rig.stage
            .dce
            .add_access_key(USER, &unseen.name.to_uppercase(), None),
        rig.stage.dce.add_access_key("somebody", &unseen.name, None),
    ];
    rig.stage.start().await;
    rig.stage.ready("key").await;
    rig.until("key", 2, 1).await;
    eventually(SOON, || async {
        anyhow::ensure!(!rig.works(&unseen) && !rig.works(&twin));
        Ok(())
    })
    .await
    .unwrap();
    let published = rig.key("key").await;
    assert!(rig.works(&published));
    // Somebody makes one by the name of the one that is published: it goes with it.
    let namesake = rig.stage.dce.add_access_key(USER, &published.name, None);
    rig.rotate("key", "1").await;
    rig.until("key", 3, 1).await;
    assert!(!rig.works(&published) && !rig.works(&namesake));

    // The same while the request is on its way out.
    let held = hold_the_answer(&rig);
    rig.rotate("key", "2").await;
    held.hit(SOON).await.unwrap();
    rig.stage.kill();
    held.remove();
    rig.delete("key").await;
    rig.stage.start().await;
    rig.stage.gone::<CredentialRequest>("key").await;
    assert!(alike.iter().all(|key| rig.works(key)), "they are others'");
    let left = rig.made().into_iter();
    let left: Vec<_> = left
        .filter(|key| !alike.iter().any(|it| it.id == key.id))
        .collect();
    assert_eq!(left, []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_gone_when_it_is_listed_no_more_and_not_when_dce_says_so() {
    let mut rig = Rig::new("dce-undone").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("key", 1000)).await;
    rig.stage.ready("key").await;
    let key = rig.key("key").await;
    for lie in [Lie::DeleteUndone, Lie::KeysHidden] {
        rig.stage.dce.lie(lie);
        if lie == Lie::DeleteUndone {
            rig.delete("key").await;
        }
        let stays = |it: &CredentialRequest| {
            status_of(it, "Reconciling") == ("True", "UnexpectedAnswer")
                || status_of(it, "Ready").1 == "UnexpectedAnswer"
        };
        rig.stage.until("key", &format!("{lie:?}"), stays).await;
        assert!(rig.works(&key));
        rig.stage.dce.stop_lying();
    }
    rig.stage.gone::<CredentialRequest>("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}
