//! Requests, and the small things that both kinds share.

use super::{super::*, is_refused};
use crate::{
    api::{
        dce::{DceCredential, DceToken},
        reference::{ProviderKind, ProviderRef},
        types::Duration,
    },
    providers::Ask,
};

fn asking(dce: Option<DceCredential>) -> CredentialRequestSpec {
    CredentialRequestSpec {
        provider_ref: ProviderRef {
            kind: ProviderKind::CredentialProvider,
            name: "dce".into(),
        },
        dce,
        keystone: None,
        cloud_mc: None,
        cloud_center: None,
        soda: None,
        secret: None,
        renewal: None,
        deletion_policy: None,
        suspend: None,
    }
}

fn for_days(cycle: Option<u16>) -> CredentialRequestSpec {
    asking(Some(DceCredential {
        token: Some(DceToken { cycle }),
        access_key: None,
    }))
}

#[test]
fn a_bad_request_is_refused_with_the_field() {
    for days in [0, 366, u16::MAX] {
        let spec = for_days(Some(days));
        is_refused(
            "days",
            Ask::read(&spec),
            "spec.dce.token.cycle",
            "from 1 to 365",
        );
    }
    for days in [None, Some(1), Some(365)] {
        assert!(Ask::read(&for_days(days)).is_ok(), "{days:?}");
    }
    let no_kind = asking(Some(DceCredential {
        token: None,
        access_key: None,
    }));
    is_refused("no kind", Ask::read(&no_kind), "spec.dce", "token: {}");
    let refusal = Ask::read(&asking(None)).unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidSpec);
    assert!(
        refusal.message.contains("exactly one of: dce"),
        "{}",
        refusal.message
    );
}

#[test]
fn what_is_no_length_of_time_is_refused_with_the_field() {
    let field = "spec.renewal.renewBefore";
    for text in [
        "", "nonsense", "1 day", "1d", "12", "1.5", "-5m", "+5m", "5 m", "5M", "PT5M", "1h 30m",
        "30m1h", "1h1h", "1.5h30m", "h", "5m ago", "1w", "10us",
    ] {
        let result = duration(field, Some(&Duration::from(text)));
        is_refused(text, result, field, "is not a duration such as");
    }
    for text in ["0s", "0h0m", "0ms", "0.0h", "00m"] {
        let result = duration(field, Some(&Duration::from(text)));
        is_refused(text, result, field, "must be longer than zero");
    }
    for (text, milliseconds) in [
        ("250ms", 250),
        ("90s", 90_000),
        ("1h30m15s", 5_415_000),
        ("1.5h", 5_400_000),
        ("0.5s", 500),
        ("0h5m", 300_000),
        ("999999999h", 999_999_999 * 3_600_000),
    ] {
        let length = duration(field, Some(&Duration::from(text))).unwrap();
        assert_eq!(length.unwrap().as_millis(), milliseconds, "{text}");
    }
    assert_eq!(duration(field, None), Ok(None));
}

#[test]
fn what_is_no_name_of_a_secret_is_refused_with_the_field() {
    for name in [
        "",
        "Upper",
        "under_score",
        "-leading",
        "trailing-",
        ".leading",
        "trailing.",
        "a..b",
        "a.-b",
        "with space",
        "a/b",
        "../x",
        "ünï",
        "a\n",
        &"a".repeat(254),
    ] {
        is_refused(
            name,
            secret_name("spec.secret.name", name),
            "spec.secret.name",
            "must be the name of a Secret",
        );
    }
    for name in [
        "a",
        "0",
        "a-b.c-d",
        "1.2.3",
        &format!("{}.{}", "a".repeat(126), "b".repeat(126)),
    ] {
        assert!(secret_name("spec.secret.name", name).is_ok(), "{name}");
    }
}
