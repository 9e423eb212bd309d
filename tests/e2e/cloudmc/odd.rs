//! Odd answers, end to end: values that come and go, forms that the documentation leaves open, lists that
//! are not whole, and names that would lead elsewhere in a URL.

use std::collections::BTreeSet;

use testkit::cloudmc::ErrorCodes;

use super::*;

const LEFT_BEHIND: &str = "credential_operator_left_behind_credentials_total";

/// Whether a request is well again.
fn well(request: &CredentialRequest) -> bool {
    status_of(request, "RenewalFailing").0 == "False"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_is_hidden_or_empty_for_a_while_stays_in_the_secret() {
    let mut rig = Rig::new("cmc-domain").await;
    let domain = |rig: &Rig, value: &str| {
        let (user, environment) = (&rig.bot.id, &rig.environment);
        rig.cloudmc.set_value(user, environment, "domain_id", value);
    };
    domain(&rig, "d1");
    rig.stage.start().await;
    rig.stage.apply(&rig.request("openstack", "300ms")).await;
    rig.stage.ready("openstack").await;
    let before = rig.stage.secret("openstack").await;
    let keys = rig.stage.published("openstack").await;
    assert_eq!(keys["OS_USER_DOMAIN_ID"], "d1");
    let failing = |it: &CredentialRequest| {
        status_of(it, "RenewalFailing") == ("True", "UnexpectedAnswer")
            && message_of(it, "RenewalFailing")
                .contains("no value any more for OS_PROJECT_DOMAIN_ID, OS_USER_DOMAIN_ID, which")
    };
    // It is shown empty, and comes back.
    domain(&rig, "");
    let told = rig
        .stage
        .until("openstack", "the domain is missed", failing);
    assert_eq!(status_of(&told.await, "Ready"), ("True", "Synced"));
    domain(&rig, "d1");
    rig.stage.until("openstack", "no failure", well).await;

    // It is hidden, and somebody regenerates as well: what would be published lacks the domain.
    rig.cloudmc.hide_field(&rig.connection, "domain_id");
    rig.stage
        .until("openstack", "the domain is missed again", failing)
        .await;
    rig.cloudmc.regenerate(&rig.bot.id, &rig.environment);
    rig.readings(rig.cloudmc.counts().api_info, 2).await;
    let after = rig.stage.secret("openstack").await;
    assert_eq!(after.resource_version(), before.resource_version());

    // Who is sure has it done.
    rig.stage
        .annotate("openstack", annotations::ROTATE, "1")
        .await;
    rig.stage
        .until("openstack", "a second credential", |it| {
            only_serial(it) == 2
        })
        .await;
    let keys = rig.stage.published("openstack").await;
    for key in ["OS_USER_DOMAIN_ID", "OS_PROJECT_DOMAIN_ID"] {
        assert_eq!(keys[key], "default");
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_one_at_each_reading_is_not_published_and_nothing_is_left_behind() {
    let mut rig = Rig::new("cmc-differs").await;
    rig.cloudmc.lie(Lie::NeverTheSame);
    rig.stage.start().await;
    let mut request = rig.request("objects", "1h");
    let keys = &mut request["spec"]["cloudMC"]["serviceKeys"];
    keys.as_object_mut().unwrap().remove("preset");
    rig.stage.apply(&request).await;
    let differs =
        |it: &CredentialRequest| status_of(it, "Ready") == ("False", "VerificationFailed");
    let failed = rig.stage.until("objects", "differs", differs).await;
    let words = message_of(&failed, "Ready");
    assert!(
        words.contains("two readings in a row differed; nothing is published"),
        "{words}"
    );
    assert!(words.contains("choose in the request"), "{words}");
    // Of the simulator's fields it is the password.
    request["spec"]["cloudMC"]["serviceKeys"]["keys"] =
        json!([{"as": "user", "field": "username"}]);
    rig.stage.apply(&request).await;
    rig.stage.ready("objects").await;
    assert_eq!(rig.stage.published("objects").await.len(), 1);
    assert_eq!(rig.stage.metric(LEFT_BEHIND).await, Some(0.0));
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_understood_in_each_form_and_the_secret_stays() {
    let mut rig = Rig::new("cmc-forms").await;
    rig.stage.start().await;
    rig.stage
        .apply(&rig.request_by_ids("objects", "300ms"))
        .await;
    rig.stage.ready("objects").await;
    let version = rig.stage.secret("objects").await.resource_version();
    for (round, (codes, beside_200, reason, words)) in [
        (ErrorCodes::Number, false, "Forbidden", "(HTTP 403)"),
        (ErrorCodes::Text, false, "Forbidden", "(HTTP 403)"),
        (ErrorCodes::ErrorCode, false, "Forbidden", "(HTTP 403)"),
        // The numbers are the simulator's own, and mean nothing to anybody.
        (
            ErrorCodes::Number,
            true,
            "UnexpectedAnswer",
            "its code is 1003",
        ),
        (
            ErrorCodes::Text,
            true,
            "UnexpectedAnswer",
            "its code is 1003",
        ),
        (
            ErrorCodes::ErrorCode,
            true,
            "UnexpectedAnswer",
            "none by its status (HTTP 200)",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        rig.cloudmc.show_codes_as(codes);
        rig.cloudmc.put_errors_beside_200(beside_200);
        rig.cloudmc.remove_member(&rig.environment, &rig.bot.id);
        let failing = |it: &CredentialRequest| {
            status_of(it, "RenewalFailing") == ("True", reason)
                && message_of(it, "RenewalFailing").contains(words)
        };
        let what = format!("{codes:?} beside 200: {beside_200}");
        let failing = rig.stage.until("objects", &what, failing).await;
        assert_eq!(status_of(&failing, "Ready"), ("True", "Synced"), "{what}");
        rig.cloudmc.add_member(&rig.environment, &rig.bot.id);
        rig.write_login(&format!("mended {round}")).await;
        rig.stage.until("objects", "no failure", well).await;
        let secret = rig.stage.secret("objects").await;
        assert_eq!(secret.resource_version(), version, "{what}");
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_without_a_length_will_do_and_a_part_of_a_list_or_two_objects_for_one_will_not() {
    let mut rig = Rig::new("cmc-lists").await;
    // By id it has to be looked up, since grants name it by its name.
    let (organization, connection) = (&rig.organization, &rig.connection);
    let second = rig
        .cloudmc
        .add_environment(organization, connection, "prod-b");
    rig.cloudmc.add_member(&second, &rig.bot.id);
    rig.stage.start().await;
    rig.cloudmc.lie(Lie::NoMetadata);
    rig.stage.apply(&rig.request("by-name", "300ms")).await;
    rig.stage.ready("by-name").await;
    rig.stage.apply(&rig.request_by_ids("by-id", "300ms")).await;
    rig.stage.ready("by-id").await;

    rig.cloudmc.lie(Lie::PartOfTheList);
    let failing = |it: &CredentialRequest| {
        status_of(it, "RenewalFailing") == ("True", "UnexpectedAnswer")
            && message_of(it, "RenewalFailing")
                .contains("a part of the list of connections only, so that a name proves nothing; state the id")
    };
    let request = rig
        .stage
        .until("by-name", "a part of the list", failing)
        .await;
    assert_eq!(status_of(&request, "Ready"), ("True", "Synced"));
    assert_eq!(rig.stage.published("by-name").await, rig.expected());
    let by_id = rig.stage.ready("by-id").await;
    assert_eq!(status_of(&by_id, "RenewalFailing").0, "False");

    rig.cloudmc.lie(Lie::TwoInOne);
    let mut request = rig.request_by_ids("looked-up", "1h");
    request["spec"]["cloudMC"]["serviceKeys"]["environment"] = json!({"id": second});
    rig.stage.apply(&request).await;
    let refused = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "UnexpectedAnswer");
    rig.stage.until("looked-up", "two for one", refused).await;
    let reads = rig.cloudmc.reads();
    assert!(reads.iter().all(|read| read.environment_id != second));

    rig.cloudmc.stop_lying();
    rig.write_login("mended").await;
    rig.stage.until("by-name", "no failure", well).await;
    rig.stage.ready("looked-up").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_would_lead_elsewhere_are_compared_and_never_called() {
    const NAMES: [&str; 4] = [
        "../parameters",
        "prod/../../users?x=1#y",
        "zwei Wörter %2e%2e",
        "..",
    ];
    let mut rig = Rig::new("cmc-names").await;
    let mut provider = rig.provider();
    provider["spec"]["allow"][0]["cloudMC"]["connections"] = json!([{"name": "*"}]);
    provider["spec"]["allow"][0]["cloudMC"]["environments"] = json!([{"name": "*"}]);
    rig.stage.apply(&provider).await;
    let mut expected = BTreeSet::from([
        "/api/v1/environments".to_owned(),
        "/api/v1/services/connections".to_owned(),
    ]);
    rig.stage.start().await;
    for (number, name) in NAMES.into_iter().enumerate() {
        let organization = &rig.organization;
        let storage = Service::ObjectStorage;
        let connection =
            rig.cloudmc
                .add_connection(organization, name, &format!("code-{number}"), storage);
        let environment = rig.cloudmc.add_environment(organization, &connection, name);
        rig.cloudmc.add_member(&environment, &rig.bot.id);
        let call = format!("/api/v1/services/connections/{connection}/apiInfo");
        expected.insert(call);
        let mut request = rig.request(&format!("name-{number}"), "1h");
        let keys = &mut request["spec"]["cloudMC"]["serviceKeys"];
        keys["connection"] = json!({"name": name});
        keys["environment"] = json!({"name": name});
        rig.stage.apply(&request).await;
        rig.stage.ready(&format!("name-{number}")).await;
    }
    let calls = rig.cloudmc.calls();
    let called: BTreeSet<_> = calls.into_iter().map(|call| call.path).collect();
    assert_eq!(called, expected);
    rig.finish().await;
}
