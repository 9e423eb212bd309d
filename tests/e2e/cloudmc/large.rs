//! A login that sees thousands of environments, whose list no call may depend on without need.

use testkit::{
    cloudmc::{ENVIRONMENTS, Rights},
    server::Fault,
};

use super::*;

/// An environment's size in a list, about as in the documentation's sample: 600 are more than a MiB.
const DESCRIPTION: usize = 1500;

/// Makes environments of which the login's user is no member, and sees them all the same.
fn add_environments(rig: &Rig, count: usize) {
    for number in 0..count {
        let name = format!("tenant-{number}");
        let connection = &rig.connection;
        let made = rig
            .cloudmc
            .add_environment(&rig.organization, connection, &name);
        rig.cloudmc
            .describe_environment(&made, &"d".repeat(DESCRIPTION));
    }
    let rights = Rights {
        read_all: true,
        ..Rights::default()
    };
    rig.cloudmc.set_rights(&rig.bot.id, rights);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_sees_thousands_of_environments_serves_ids_and_names() {
    let mut rig = Rig::new("cmc-large").await;
    add_environments(&rig, 800);
    rig.stage.start().await;
    rig.stage.apply(&rig.request_by_ids("by-id", "1h")).await;
    rig.stage.apply(&rig.request("by-name", "1h")).await;
    rig.stage.ready("by-id").await;
    rig.stage.ready("by-name").await;
    assert_eq!(rig.stage.published("by-name").await, rig.expected());

    // By now the list is longer than any that is read. Whoever names an id needs no list.
    add_environments(&rig, 5000);
    rig.write_login("looked at again").await;
    rig.stage.apply(&rig.request_by_ids("later", "1h")).await;
    rig.stage.ready("later").await;
    rig.stage.apply(&rig.request("nameless", "1h")).await;
    let failing = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "UnexpectedAnswer");
    let told = rig.stage.until("nameless", "the list is too long", failing);
    let told = told.await;
    let words = message_of(&told, "Ready");
    assert!(
        words.contains("larger than 8 MiB; state the id in spec.cloudMC.serviceKeys.environment"),
        "{words}"
    );

    // An endless list is cut off, and costs the login nothing.
    rig.cloudmc
        .faults()
        .set(ENVIRONMENTS, Fault::HugeBody(1 << 30));
    rig.stage.apply(&rig.request("endless", "1h")).await;
    rig.stage.until("endless", "cut off", failing).await;
    rig.finish().await;
}
