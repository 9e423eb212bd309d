//! The plan for providers.

use super::{
    super::{
        finalizer::Additions,
        provider::{Hold, ProviderDecision, SeenProvider, hold, next_hold, plan, report},
    },
    Reason, Timestamp, at, refusal,
};
use crate::api::{ProviderStatus, provider::LoginRecord};

fn declared() -> SeenProvider {
    SeenProvider {
        name: "ClusterCredentialProvider acme".into(),
        generation: 1,
        spread: 0,
        endpoint: Some("https://acme.example.com".into()),
        reach: Ok("inputs@1".into()),
        login: None,
        insecure: None,
        requests: 3,
        deleting: false,
        held: false,
        wanted_held: false,
        additions: Additions::default(),
        needed_by: Some(Vec::new()),
    }
}

fn after(reason: Reason, inputs: &str) -> SeenProvider {
    SeenProvider {
        login: Some(LoginRecord {
            reason,
            inputs: inputs.into(),
            time: at(0),
            attempts: 1,
            not_before: None,
            message: Some("no".into()),
        }),
        ..declared()
    }
}

fn retry_at(decision: &ProviderDecision) -> Option<Timestamp> {
    match decision {
        ProviderDecision::NotUsable(not_ready) => not_ready.retry_at,
        _ => None,
    }
}

#[test]
fn a_login_is_tested_once_per_change() {
    use ProviderDecision::{TestLogin, Usable};
    assert_eq!(plan(&declared(), at(0)), TestLogin);
    assert_eq!(
        plan(&after(Reason::LoginWorks, "inputs@1"), at(99_999_999)),
        Usable
    );
    assert_eq!(
        plan(&after(Reason::LoginWorks, "inputs@0"), at(1)),
        TestLogin
    );
    assert_eq!(
        plan(&after(Reason::LoginRefused, "inputs@0"), at(1)),
        TestLogin
    );
}

#[test]
fn a_refused_login_is_not_repeated_for_long_and_an_outage_is() {
    let refused = after(Reason::LoginRefused, "inputs@1");
    assert_eq!(retry_at(&plan(&refused, at(1))), Some(at(1800)));
    assert_eq!(plan(&refused, at(1800)), ProviderDecision::TestLogin);
    let down = after(Reason::ProviderUnavailable, "inputs@1");
    assert_eq!(retry_at(&plan(&down, at(0))), Some(at(1)));
    assert_eq!(plan(&down, at(1)), ProviderDecision::TestLogin);
}

#[test]
fn a_provider_that_said_when_to_come_back_is_not_asked_before() {
    for (reason, not_before, expected) in [
        (Reason::ProviderUnavailable, Some(60), 60),
        (Reason::ProviderUnavailable, Some(0), 1),
        (Reason::RateLimited, Some(60), 60),
        (Reason::RateLimited, None, 30),
    ] {
        let mut seen = after(reason, "inputs@1");
        if let Some(login) = &mut seen.login {
            login.not_before = not_before.map(at);
        }
        let retry_at = retry_at(&plan(&seen, at(0)));
        assert_eq!(retry_at, Some(at(expected)), "{reason} {not_before:?}");
    }
}

#[test]
fn what_is_missing_waits_for_a_change_and_is_named() {
    let seen = SeenProvider {
        reach: Err(refusal(Reason::NoConsent)),
        ..after(Reason::LoginWorks, "inputs@1")
    };
    let decision = plan(&seen, at(1));
    let ProviderDecision::NotUsable(not_ready) = &decision else {
        panic!("{decision:?}")
    };
    assert_eq!(
        (not_ready.reason, not_ready.retry_at),
        (Reason::NoConsent, None)
    );
    assert_eq!(not_ready.message, "ClusterCredentialProvider acme: no");
    let status = report(&seen, &decision, &ProviderStatus::default(), at(1));
    let verdicts: Vec<_> = status
        .conditions
        .iter()
        .map(|c| (c.type_.as_str(), c.status.as_str()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("Ready", "False"),
            ("Reconciling", "False"),
            ("Stalled", "True")
        ]
    );
}

#[test]
fn the_status_does_not_change_while_nothing_does() {
    let seen = SeenProvider {
        insecure: Some((Reason::PlainHTTP, "careful".into())),
        ..after(Reason::LoginWorks, "inputs@1")
    };
    let decision = plan(&seen, at(1));
    let first = report(&seen, &decision, &ProviderStatus::default(), at(1));
    assert_eq!(report(&seen, &decision, &first, at(500)), first);
    assert!(
        first
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Insecure" && condition.status == "True")
    );
}

#[test]
fn a_provider_that_requests_need_gets_its_finalizer_back_and_a_fight_about_it_comes_to_rest() {
    let needed = || SeenProvider {
        wanted_held: true,
        ..after(Reason::LoginWorks, "inputs@1")
    };
    assert_eq!(hold(&needed(), at(10)), Hold::Add);
    let going = SeenProvider {
        deleting: true,
        needed_by: Some(vec!["team/s3".into()]),
        ..needed()
    };
    assert_eq!(hold(&going, at(10)), Hold::AsItIs, "none is taken then");
    let mut contested = needed();
    contested.additions.at = vec![at(10); 5];
    assert_eq!(hold(&contested, at(11)), Hold::AsItIs);
    assert_eq!(next_hold(&contested, at(11)), Some(at(310)));
    assert_eq!(hold(&contested, at(310)), Hold::Add);
    let mut refused = needed();
    refused
        .additions
        .failed(Some("403 Forbidden".into()), at(10));
    assert_eq!(hold(&refused, at(10)), Hold::AsItIs);
    assert_eq!(hold(&refused, at(11)), Hold::Add);
    for (seen, reason, words) in [
        (contested, "TargetContested", "another writer of the object"),
        (refused, "FinalizerRefused", "403 Forbidden"),
    ] {
        let decision = plan(&seen, at(10));
        let status = report(&seen, &decision, &ProviderStatus::default(), at(10));
        let said = |type_: &str| {
            let mut all = status.conditions.iter();
            all.find(|it| it.type_ == type_).unwrap().clone()
        };
        assert_eq!(said("Ready").status, "True", "the login works");
        let reconciling = said("Reconciling");
        assert_eq!(
            (reconciling.status.as_str(), reconciling.reason.as_str()),
            ("True", reason)
        );
        assert!(reconciling.message.contains(words), "{reconciling:?}");
    }
}
