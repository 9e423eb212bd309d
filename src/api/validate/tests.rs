//! The rules once more, on values as an older schema may have stored them: each refusal names the
//! field. The same rules as the API server applies them are in the end-to-end tests.

mod requests;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::*;
use crate::{
    api::{
        dce::{DceAuth, DceGrant, DceKeyPair, DceKind, DceProvider},
        endpoint::Tls,
        provider::{Budget, Grant},
        reference::{CaBundleRef, SecretRef},
    },
    providers::System,
};

fn secret(name: &str) -> SecretRef {
    SecretRef {
        namespace: Some("platform".into()),
        name: name.into(),
    }
}

fn grant() -> Grant {
    Grant {
        namespaces: Some(LabelSelector::default()),
        dce: Some(DceGrant {
            kinds: vec![DceKind::Token],
            max_cycle: Some(30),
            max_lifetime: None,
        }),
        ..Grant::default()
    }
}

fn selecting(operator: &str, values: Option<&[&str]>) -> Grant {
    let expression = LabelSelectorRequirement {
        key: "team".into(),
        operator: operator.into(),
        values: values.map(|values| values.iter().map(|&value| value.to_owned()).collect()),
    };
    Grant {
        namespaces: Some(LabelSelector {
            match_expressions: Some(vec![expression]),
            match_labels: None,
        }),
        ..grant()
    }
}

fn granting(kinds: Vec<DceKind>, max_cycle: Option<u16>) -> Grant {
    Grant {
        dce: Some(DceGrant {
            kinds,
            max_cycle,
            max_lifetime: None,
        }),
        ..grant()
    }
}

/// A good provider.
fn good() -> ProviderSpec {
    ProviderSpec {
        dce: Some(DceProvider {
            endpoint: "https://dce.example.com/prefix".into(),
            allow_http: None,
            tls: Some(Tls {
                ca_bundle_secret_ref: Some(CaBundleRef {
                    namespace: Some("platform".into()),
                    name: "ca".into(),
                    key: Some("ca.crt".into()),
                }),
                insecure_skip_verify: None,
            }),
            auth: DceAuth {
                key_pair: Some(DceKeyPair {
                    secret_ref: secret("login"),
                    ak_key: Some("ak".into()),
                    sk_key: None,
                }),
                access_key: None,
            },
        }),
        allow: vec![grant()],
        ..ProviderSpec::default()
    }
}

/// A provider with something wrong in the part that is about DCE.
fn dce(change: impl FnOnce(&mut DceProvider)) -> ProviderSpec {
    let mut spec = good();
    change(spec.dce.as_mut().unwrap());
    spec
}

fn key_pair(change: impl FnOnce(&mut DceKeyPair)) -> ProviderSpec {
    dce(|dce| change(dce.auth.key_pair.as_mut().unwrap()))
}

fn ca(change: impl FnOnce(&mut CaBundleRef)) -> ProviderSpec {
    dce(|dce| {
        let tls = dce.tls.as_mut().unwrap();
        change(tls.ca_bundle_secret_ref.as_mut().unwrap());
    })
}

fn budget(requests_per_second: Option<i32>, concurrency: Option<i32>) -> ProviderSpec {
    let budget = Budget {
        requests_per_second,
        concurrency,
    };
    ProviderSpec { budget, ..good() }
}

fn allow(grants: Vec<Grant>) -> ProviderSpec {
    ProviderSpec {
        allow: grants,
        ..good()
    }
}

fn is_refused(what: &str, result: Result<impl Sized, Refusal>, field: &str, words: &str) {
    let refusal = result
        .err()
        .unwrap_or_else(|| panic!("{what} was accepted"));
    assert_eq!(refusal.reason, Reason::InvalidSpec, "{what}");
    let message = &refusal.message;
    assert!(
        message.starts_with(&format!("{field}: ")),
        "{what}: {message}"
    );
    assert!(message.contains(words), "{what}: {message}");
}

#[test]
fn a_good_provider_is_read() {
    let (_, reach) = System::read(&good()).unwrap();
    assert_eq!(reach.endpoint.as_str(), "https://dce.example.com/prefix");
    for spec in [
        allow(vec![]),
        allow(vec![grant(); 64]),
        allow(vec![selecting("In", Some(&["a"]))]),
        allow(vec![selecting("NotIn", Some(&["a"]))]),
        allow(vec![selecting("Exists", None)]),
        allow(vec![selecting("DoesNotExist", Some(&[]))]),
        budget(Some(1), Some(1)),
        budget(Some(10_000), Some(256)),
        dce(|dce| dce.tls = None),
    ] {
        assert!(System::read(&spec).is_ok(), "{spec:?}");
    }
}

#[test]
fn a_bad_endpoint_is_refused_whatever_is_wrong_with_it() {
    const ABSOLUTE: &str = "must be an absolute URL such as https://cloud.example.com";
    let long = format!("https://dce.example.com/{}", "a".repeat(1024));
    for (endpoint, words) in [
        ("", ABSOLUTE),
        ("dce.example.com", ABSOLUTE),
        ("/dce", ABSOLUTE),
        ("//dce.example.com", ABSOLUTE),
        ("https:dce.example.com", ABSOLUTE),
        ("https:/dce.example.com", ABSOLUTE),
        (r"https:\\dce.example.com", ABSOLUTE),
        (r"https://dce.example.com\path", ABSOLUTE),
        ("https://", ABSOLUTE),
        ("https://:443", ABSOLUTE),
        ("ftp://dce.example.com", ABSOLUTE),
        ("file:///etc/passwd", ABSOLUTE),
        ("HTTPS://dce.example.com", ABSOLUTE),
        (" https://dce.example.com", ABSOLUTE),
        ("https://dce.example.com ", ABSOLUTE),
        ("https://dce.example.com/a b", ABSOLUTE),
        ("https://dce.exa\nmple.com", ABSOLUTE),
        ("https://dce.exa\tmple.com", ABSOLUTE),
        ("https://dcé.example.com", ABSOLUTE),
        ("https://dce.example.com:0", ABSOLUTE),
        ("https://dce.example.com:65536", ABSOLUTE),
        ("https://[::1", ABSOLUTE),
        ("https://1.2.3.4.5", ABSOLUTE),
        (&long, ABSOLUTE),
        ("http://dce.example.com", "set allowHTTP: true"),
        (
            "https://user@dce.example.com",
            "must not hold a user name or password",
        ),
        (
            "https://user:password@dce.example.com",
            "must not hold a user name or password",
        ),
        (
            "https://:@dce.example.com",
            "must not hold a user name or password",
        ),
        (
            "https://dce.example.com?a=b",
            "must not hold a query or a fragment",
        ),
        (
            "https://dce.example.com/?",
            "must not hold a query or a fragment",
        ),
        (
            "https://dce.example.com/#top",
            "must not hold a query or a fragment",
        ),
    ] {
        let spec = dce(|dce| endpoint.clone_into(&mut dce.endpoint));
        is_refused(endpoint, System::read(&spec), "spec.dce.endpoint", words);
    }
    let plain = dce(|dce| {
        "http://10.0.0.1:8080".clone_into(&mut dce.endpoint);
        dce.allow_http = Some(true);
    });
    assert!(System::read(&plain).is_ok());
}

#[test]
fn a_bad_provider_is_refused_with_the_field() {
    const NAMES: &str = "must be the name of a Secret";
    const KEYS: &str = "must be the key of a Secret";
    let text = |text: &str| Some(text.to_owned());
    let long = "a".repeat(254);
    let none = ProviderSpec {
        dce: None,
        ..good()
    };
    let refusal = System::read(&none).unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidSpec);
    assert!(
        refusal.message.contains("exactly one of: dce"),
        "{}",
        refusal.message
    );

    let login = "spec.dce.auth.keyPair.secretRef";
    for name in ["", "Login", "log_in", "-login", "a..b", "a.-b", &long] {
        let spec = key_pair(|pair| pair.secret_ref = secret(name));
        is_refused(name, System::read(&spec), &format!("{login}.name"), NAMES);
        let spec = ca(|ca| name.clone_into(&mut ca.name));
        is_refused(
            name,
            System::read(&spec),
            "spec.dce.tls.caBundleSecretRef.name",
            NAMES,
        );
    }
    for name in ["", "a.b", "UPPER", &"a".repeat(64)] {
        let words = "must be the name of a namespace";
        let spec = key_pair(|pair| pair.secret_ref.namespace = text(name));
        is_refused(
            name,
            System::read(&spec),
            &format!("{login}.namespace"),
            words,
        );
        let spec = ca(|ca| ca.namespace = text(name));
        is_refused(
            name,
            System::read(&spec),
            "spec.dce.tls.caBundleSecretRef.namespace",
            words,
        );
    }
    for key in ["", "a/k", "a k", "ä", &long] {
        let spec = key_pair(|pair| pair.ak_key = text(key));
        is_refused(
            key,
            System::read(&spec),
            "spec.dce.auth.keyPair.akKey",
            KEYS,
        );
        let spec = key_pair(|pair| pair.sk_key = text(key));
        is_refused(
            key,
            System::read(&spec),
            "spec.dce.auth.keyPair.skKey",
            KEYS,
        );
        let spec = ca(|ca| ca.key = text(key));
        is_refused(
            key,
            System::read(&spec),
            "spec.dce.tls.caBundleSecretRef.key",
            KEYS,
        );
    }
    let both = dce(|dce| dce.tls.as_mut().unwrap().insecure_skip_verify = Some(true));
    is_refused("both", System::read(&both), "spec.dce.tls", "not both");
    for calls in [0, -1, 10_001, i32::MIN, i32::MAX] {
        let spec = budget(Some(calls), None);
        is_refused(
            "rate",
            System::read(&spec),
            "spec.budget.requestsPerSecond",
            "must be from 1 to 10000",
        );
    }
    for calls in [0, -1, 257] {
        let spec = budget(None, Some(calls));
        is_refused(
            "concurrency",
            System::read(&spec),
            "spec.budget.concurrency",
            "must be from 1 to 256",
        );
    }
}

#[test]
fn a_bad_grant_is_refused_with_its_place() {
    let spec = allow(vec![grant(); 65]);
    is_refused("65", System::read(&spec), "spec.allow", "at most 64");
    let nothing = Grant {
        dce: None,
        ..grant()
    };
    for (bad, field, words) in [
        (nothing, "spec.allow[1]", "one of: dce"),
        (
            granting(vec![], None),
            "spec.allow[1].dce.kinds",
            "at least one",
        ),
        (
            granting(vec![DceKind::Token], Some(0)),
            "spec.allow[1].dce.maxCycle",
            "from 1 to 365",
        ),
        (
            granting(vec![DceKind::Token], Some(366)),
            "spec.allow[1].dce.maxCycle",
            "from 1 to 365",
        ),
    ] {
        is_refused(
            field,
            System::read(&allow(vec![grant(), bad])),
            field,
            words,
        );
    }
    for (operator, values) in [
        ("In", None),
        ("In", Some(&[][..])),
        ("NotIn", None),
        ("NotIn", Some(&[][..])),
        ("Exists", Some(&["a"][..])),
        ("DoesNotExist", Some(&["a"][..])),
        ("Is", Some(&["a"][..])),
        ("", None),
    ] {
        let spec = allow(vec![selecting(operator, values)]);
        let field = "spec.allow[0].namespaces.matchExpressions";
        is_refused(
            operator,
            System::read(&spec),
            field,
            "In and NotIn need values",
        );
    }
}
