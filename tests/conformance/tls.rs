//! Which certificates of servers the operator accepts, beside those that curl accepts, and which words it
//! has for the others. Every row is a real handshake with a real server.
//!
//! The rows are for all systems: each of their calls, logins included, goes through the one client here.

use std::{fmt::Write as _, process::Stdio};

use credential_operator::{
    api::Reason,
    plan::Failure,
    providers::{
        certificates,
        http::{Call, HttpClient, HttpSettings},
    },
};
use reqwest::Method;
use tempfile::TempDir;
use testkit::tls::{Authority, Identity, Manner, OpenSsl, Purpose, Server, Subject, self_signed};
use tokio::process::Command;
use url::Url;

use crate::bench::Free;

/// What comes of a connection.
#[derive(Clone, Copy)]
enum Verdict {
    Accepted,
    /// `TLSFailed`, with these words among others.
    Refused(&'static [&'static str]),
    /// `ProviderUnavailable`, with these words among others.
    Unavailable(&'static str),
}

use Verdict::{Accepted, Refused, Unavailable};

/// A server, a bundle of certificates, and what comes of it.
struct Row {
    /// What is the case.
    name: &'static str,
    /// The host of the endpoint.
    host: &'static str,
    /// The bundle that the provider names.
    trusted: String,
    manner: Manner,
    operator: Verdict,
    curl_accepts: bool,
    /// Why the two differ, where they do.
    difference: &'static str,
}

impl Row {
    /// A row with the same verdict of both.
    fn new(name: &'static str, trusted: &str, manner: Manner, operator: Verdict) -> Row {
        Row {
            name,
            host: "localhost",
            trusted: trusted.to_owned(),
            manner,
            operator,
            curl_accepts: matches!(operator, Accepted),
            difference: "",
        }
    }

    /// As before, with the name or address to which the connection goes.
    fn to(self, host: &'static str) -> Row {
        Row { host, ..self }
    }

    /// As before, but curl decides otherwise.
    fn unlike_curl(self, difference: &'static str) -> Row {
        Row {
            curl_accepts: !self.curl_accepts,
            difference,
            ..self
        }
    }
}

/// A certificate that is its own authority's, and `CA:TRUE`, as many appliances make it.
fn own(subject: Subject) -> Identity {
    self_signed(&Subject {
        is_authority: true,
        ..subject
    })
}

fn expired(subject: Subject) -> Subject {
    Subject {
        not_after: (2020, 1, 2),
        ..subject
    }
}

fn not_yet_valid(subject: Subject) -> Subject {
    Subject {
        not_before: (2290, 1, 2),
        ..subject
    }
}

fn for_clients(subject: Subject) -> Subject {
    Subject {
        purpose: Some(Purpose::Clients),
        ..subject
    }
}

/// Certificates of an authority that is trusted.
fn issued() -> Vec<Row> {
    let root = Authority::new("root");
    let trusted = root.pem();
    let shows = |subject: Subject| Manner::Shows(root.issue(&subject));
    let middle = root.below("middle", (2300, 1, 1));
    let old_middle = root.below("old middle", (2020, 1, 2));
    let old_root = Authority::until("old root", (2020, 1, 2));
    let others = ["a.example.com", "*.b.example.com", "192.0.2.7"];
    vec![
        Row::new(
            "issued by a trusted authority",
            &trusted,
            shows(Subject::loopback()),
            Accepted,
        ),
        Row::new(
            "issued by a trusted authority, for an address",
            &trusted,
            shows(Subject::named(&["127.0.0.1"])),
            Accepted,
        )
        .to("127.0.0.1"),
        Row::new(
            "issued by an authority below a trusted one, which the server sends",
            &trusted,
            Manner::Shows(middle.issue(&Subject::loopback())),
            Accepted,
        ),
        Row::new(
            "issued by a trusted authority below one that is not",
            &middle.pem(),
            Manner::Shows(middle.issue(&Subject::loopback()).alone()),
            Accepted,
        ),
        Row::new(
            "the authority in between is not sent",
            &trusted,
            Manner::Shows(middle.issue(&Subject::loopback()).alone()),
            Refused(&[
                "an authority that is not trusted",
                "have the server send the certificates in between",
            ]),
        ),
        Row::new(
            "the authority in between has expired",
            &trusted,
            Manner::Shows(old_middle.issue(&Subject::loopback())),
            Refused(&["sends beside its own expired at 2020-01-02T00:00:00Z"]),
        ),
        Row::new(
            "the trusted authority has expired",
            &old_root.pem(),
            Manner::Shows(old_root.issue(&Subject::loopback())),
            Accepted,
        )
        .unlike_curl("RFC 5280 (6.1.1 d) gives a trust anchor no validity, and webpki follows it"),
        Row::new(
            "expired",
            &trusted,
            shows(expired(Subject::loopback())),
            Refused(&["expired at 2020-01-02T00:00:00Z", "renew it at the server"]),
        ),
        Row::new(
            "not yet valid",
            &trusted,
            shows(not_yet_valid(Subject::loopback())),
            Refused(&[
                "is not valid before 2290-01-02T00:00:00Z",
                "correct the clock",
            ]),
        ),
        Row::new(
            "for other names",
            &trusted,
            shows(Subject::named(&others)),
            Refused(&[
                "is not for localhost, but for a.example.com, *.b.example.com, 192.0.2.7;",
                "use one of these names in the endpoint",
            ]),
        ),
        Row::new(
            "for a name, and called by address",
            &trusted,
            shows(Subject::named(&["localhost"])),
            Refused(&["is not for 127.0.0.1, but for localhost;"]),
        )
        .to("127.0.0.1"),
        Row::new(
            "without any name but the common name",
            &trusted,
            shows(Subject::named(&[])),
            Refused(&[
                "has no DNS name",
                "common name does not count",
                "a subjectAltName for localhost",
            ]),
        )
        .unlike_curl("curl with OpenSSL takes the common name, which RFC 9525 forbids"),
        Row::new(
            "for clients",
            &trusted,
            shows(for_clients(Subject::loopback())),
            Refused(&["is not for servers", "serverAuth"]),
        ),
        Row::new(
            "shown without its private key",
            &trusted,
            Manner::Shows(
                root.issue(&Subject::loopback())
                    .with_key_of(&root.issue(&Subject::loopback())),
            ),
            Refused(&["does not have the private key of the certificate that it shows"]),
        ),
    ]
}

/// Certificates that are trusted themselves.
fn named_themselves(openssl: &OpenSsl) -> Vec<Row> {
    let itself = |name, identity: Identity, verdict| {
        Row::new(name, &identity.pem(), Manner::Shows(identity), verdict)
    };
    let root = Authority::new("root");
    let own_one = own(Subject::loopback());
    let other_key = own_one.with_key_of(&own(Subject::loopback()));
    let plain = self_signed(&Subject::loopback());
    let plain_other_key = plain.with_key_of(&self_signed(&Subject::loopback()));
    let by_tls_1_2 = |name, identity: Identity, verdict| {
        let trusted = identity.pem();
        Row::new(name, &trusted, Manner::ShowsByTls12(identity), verdict)
    };
    vec![
        by_tls_1_2("by TLS 1.2, trusted itself", own_one.clone(), Accepted),
        by_tls_1_2(
            "by TLS 1.2, trusted itself, and shown without its private key",
            other_key.clone(),
            Refused(&["does not have the private key of the certificate that it shows"]),
        ),
        itself(
            "made by openssl req -x509, and trusted itself",
            openssl.self_signed(&["-addext", "subjectAltName=DNS:localhost"]),
            Accepted,
        ),
        itself(
            "signed by itself, CA:TRUE, and trusted itself",
            own_one.clone(),
            Accepted,
        ),
        itself(
            "signed by itself, CA:FALSE, and trusted itself",
            plain.clone(),
            Accepted,
        ),
        itself(
            "issued by an authority, and trusted itself instead of that",
            root.issue(&Subject::loopback()),
            Accepted,
        ),
        itself(
            "trusted itself, for an address",
            own(Subject::named(&["127.0.0.1"])),
            Accepted,
        )
        .to("127.0.0.1"),
        itself(
            "trusted itself, CA:TRUE, and shown without its private key",
            other_key,
            Refused(&["does not have the private key of the certificate that it shows"]),
        ),
        itself(
            "trusted itself, CA:FALSE, and shown without its private key",
            plain_other_key,
            Refused(&["does not have the private key of the certificate that it shows"]),
        ),
        itself(
            "trusted itself, and expired",
            own(expired(Subject::loopback())),
            Refused(&["expired at 2020-01-02T00:00:00Z"]),
        ),
        itself(
            "trusted itself, and not yet valid",
            own(not_yet_valid(Subject::loopback())),
            Refused(&["is not valid before 2290-01-02T00:00:00Z"]),
        ),
        itself(
            "trusted itself, for another name",
            own(Subject::named(&["a.example.com"])),
            Refused(&["is not for localhost, but for a.example.com;"]),
        ),
        itself(
            "trusted itself, for clients",
            own(for_clients(Subject::loopback())),
            Refused(&["is not for servers"]),
        ),
        itself(
            "made by openssl req -x509 without a name but the common name",
            openssl.self_signed(&[]),
            Refused(&["has no DNS name", "a subjectAltName for localhost"]),
        )
        .unlike_curl("curl with OpenSSL takes the common name, which RFC 9525 forbids"),
        itself(
            "of version 1, and trusted itself",
            openssl.version_1(),
            Refused(&[
                "is of X.509 version 1, which cannot hold host names",
                "have one of version 3 made",
            ]),
        )
        .unlike_curl(
            "version 1 has no subjectAltName, and curl with OpenSSL takes the common name",
        ),
    ]
}

/// Certificates that nobody trusts.
fn untrusted(openssl: &OpenSsl) -> Vec<Row> {
    let root = Authority::new("root");
    let namesake = Authority::new("root");
    let stranger = Authority::new("stranger");
    let leaf = root.issue(&Subject::loopback());
    vec![
        Row::new(
            "issued by an authority that is not trusted",
            &stranger.pem(),
            Manner::Shows(leaf.clone()),
            Refused(&["an authority that is not trusted", "tls.caBundleSecretRef"]),
        ),
        Row::new(
            "issued by an authority that only has the name of a trusted one",
            &namesake.pem(),
            Manner::Shows(leaf),
            Refused(&["names a trusted authority as its issuer, but another key has signed it"]),
        ),
        Row::new(
            "signed by itself again with the same name, while the one before is trusted",
            &own(Subject::loopback()).pem(),
            Manner::Shows(own(Subject::loopback())),
            Refused(&["a certificate with CA:TRUE", "put this very certificate"]),
        ),
        Row::new(
            "of version 1, and not trusted",
            &stranger.pem(),
            Manner::Shows(openssl.version_1()),
            Refused(&["is of X.509 version 1"]),
        ),
    ]
}

/// Servers that end the handshake, or speak no TLS.
fn no_handshake() -> Vec<Row> {
    let root = Authority::new("root");
    let trusted = root.pem();
    let row = |name, manner, verdict| Row::new(name, &trusted, manner, verdict);
    vec![
        row(
            "the alert handshake_failure",
            Manner::Alert(40),
            Refused(&["the alert handshake_failure (40)", "no cipher suite"]),
        ),
        row(
            "the alert protocol_version",
            Manner::Alert(70),
            Refused(&[
                "the alert protocol_version (70)",
                "neither TLS 1.2 nor TLS 1.3",
            ]),
        ),
        row(
            "the alert unrecognized_name",
            Manner::Alert(112),
            Refused(&["the alert unrecognized_name (112)", "correct the endpoint"]),
        ),
        row(
            "the server wants a certificate of the client",
            Manner::WantsCertificate(
                root.issue(&Subject::loopback()),
                Box::new(Authority::new("clients")),
            ),
            Refused(&[
                "the alert certificate_required (116)",
                "asks for a client certificate",
            ]),
        ),
        row(
            "plain HTTP",
            Manner::PlainHttp,
            Refused(&["does not answer with TLS", "plain HTTP"]),
        ),
        row(
            "the server closes the connection",
            Manner::Closes,
            Unavailable("closed the connection during the TLS handshake"),
        ),
    ]
}

/// The answer that the operator's client gets.
async fn ask(url: &str, trusted: &str) -> Result<(), Failure> {
    let settings = HttpSettings {
        ca_pem: Some(certificates::only(trusted.as_bytes()).expect("certificates")),
        ..HttpSettings::default()
    };
    let client = HttpClient::new(&Url::parse(url).unwrap(), settings).expect("a client");
    client
        .send(&Free, Call::new(Method::GET, &[]))
        .await
        .map(drop)
}

/// Whether curl gets an answer.
async fn curl_accepts(url: &str, trusted: &str) -> bool {
    let directory = TempDir::new().unwrap();
    let bundle = directory.path().join("trusted.pem");
    std::fs::write(&bundle, trusted).unwrap();
    let status = Command::new("curl")
        // Neither a file nor a variable of whoever runs the test has a say.
        .args(["-q", "--silent", "--noproxy", "*", "--max-time", "60"])
        .arg("--cacert")
        .arg(&bundle)
        .arg(url)
        .stdout(Stdio::null())
        .status()
        .await
        .expect("the command curl is needed");
    status.success()
}

/// The reasons why a row did not come out as it should.
fn faults(row: &Row, operator: &Result<(), Failure>, curl_accepts: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let (reason, words) = match row.operator {
        Accepted => (None, &[] as &[&str]),
        Refused(words) => (Some(Reason::TLSFailed), words),
        Unavailable(ref words) => (
            Some(Reason::ProviderUnavailable),
            std::slice::from_ref(words),
        ),
    };
    let (found, message) = match operator {
        Ok(()) => (None, ""),
        Err(failure) => (Some(failure.reason), failure.message.as_str()),
    };
    if found != reason {
        faults.push(format!(
            "{}: the operator says {found:?} ({message}), not {reason:?}",
            row.name
        ));
    }
    for words in words.iter().filter(|words| !message.contains(**words)) {
        faults.push(format!("{}: {message:?} has no {words:?}", row.name));
    }
    if curl_accepts != row.curl_accepts {
        faults.push(format!("{}: curl accepts: {curl_accepts}", row.name));
    }
    faults
}

fn said(verdict: &Result<(), Failure>) -> &str {
    match verdict {
        Ok(()) => "accepted",
        Err(failure) => &failure.message,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_certificate_is_accepted_as_curl_does_or_refused_with_words_of_its_own() {
    let openssl = OpenSsl::new();
    let mut rows = issued();
    rows.extend(named_themselves(&openssl));
    rows.extend(untrusted(&openssl));
    rows.extend(no_handshake());
    let mut table = String::from("| the server | curl | the operator |\n|---|---|---|\n");
    let mut all = Vec::new();
    for row in &mut rows {
        let manner = std::mem::replace(&mut row.manner, Manner::Closes);
        let server = Server::start(manner).await;
        let url = format!("https://{}:{}/", row.host, server.port());
        let operator = ask(&url, &row.trusted).await;
        let curl = curl_accepts(&url, &row.trusted).await;
        let curl_says = if curl { "accepted" } else { "refused" };
        let difference = match row.difference {
            "" => String::new(),
            why => format!(" ({why})"),
        };
        writeln!(
            table,
            "| {} | {curl_says}{difference} | {} |",
            row.name,
            said(&operator)
        )
        .unwrap();
        all.extend(faults(row, &operator, curl));
    }
    println!("{table}");
    assert!(all.is_empty(), "{} faults:\n{}", all.len(), all.join("\n"));
}
