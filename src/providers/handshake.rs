//! Words for failed TLS handshakes: each cause has its own, with the way out.
//!
//! The words take times, well-formed host names and addresses from the server's certificate, in a
//! bounded number, and no other text. An alert appears by its number and the name that RFCs give it.

use jiff::Timestamp;
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible,
    pki_types::UnixTime,
};

use super::tls::Objection;

/// How many names of a certificate are shown.
const MOST_NAMES: usize = 5;
/// How many bytes of names are shown.
const LONGEST_NAMES: usize = 300;

/// The cause, and the way out.
pub fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => by_alert(*alert),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => "the server does not answer with TLS; perhaps it speaks plain HTTP at this port: correct \
              the endpoint's port, or enable TLS at the server"
            .to_owned(),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => "the server speaks only versions of TLS before 1.2; enable TLS 1.2 or 1.3 there".to_owned(),
        Error::PeerIncompatible(_) => {
            "the server and the operator have no TLS cipher suite, group or signature scheme in \
             common; enable TLS 1.3, or TLS 1.2 with ECDHE and AES-GCM, at the server"
                .to_owned()
        }
        Error::NoCertificatesPresented => {
            "the server shows no certificate; give it one".to_owned()
        }
        _ => "the TLS handshake failed, because the server, or a device between, breaks the rules of \
              TLS; see the server's log"
            .to_owned(),
    }
}

/// A certificate that is not accepted.
fn certificate(error: &CertificateError) -> String {
    if let CertificateError::Other(other) = error
        && let Some(objection) = other.0.downcast_ref::<Objection>()
    {
        return by_objection(*objection);
    }
    match error {
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the server's certificate expired at {}; renew it at the server",
            time(*not_after)
        ),
        CertificateError::Expired => {
            "the server's certificate has expired; renew it at the server".to_owned()
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is not valid before {}; correct the clock of the machine that \
             made it, or of the operator's node",
            time(*not_before)
        ),
        CertificateError::NotValidYet => {
            "the server's certificate is not valid yet; correct the clock of the machine that made it, \
             or of the operator's node"
                .to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } if presented.is_empty() => format!(
            "the server's certificate has no DNS name and no address in subjectAltName, and its common \
             name does not count; have one made with a subjectAltName for {}",
            expected.to_str()
        ),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the server's certificate is not for {host}, but for {}; use one of these names in the \
             endpoint, or have a certificate made for {host}",
            listed(presented),
            host = expected.to_str()
        ),
        CertificateError::NotValidForName => {
            "the server's certificate is not for the name in the endpoint; correct the endpoint, or have \
             a certificate made for that name"
                .to_owned()
        }
        CertificateError::UnknownIssuer => {
            "the server's certificate comes from an authority that is not trusted; put the authority's \
             certificate, or the server's own, into the Secret of tls.caBundleSecretRef, and have the \
             server send the certificates in between"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "the server does not have the private key of the certificate that it shows; give it the key \
             that belongs to the certificate"
                .to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the server's certificate is not for servers; have one made whose extendedKeyUsage is absent \
             or has serverAuth"
                .to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "a certificate of the server is signed with an algorithm that is not accepted, such as SHA-1; \
             have one made that is signed with SHA-256"
                .to_owned()
        }
        CertificateError::UnhandledCriticalExtension => {
            "the server's certificate has a critical extension that the operator does not know; have one \
             made without it"
                .to_owned()
        }
        CertificateError::BadEncoding => {
            "the server's certificate cannot be read; have another one made".to_owned()
        }
        _ => "the server's certificate was not accepted; have it made anew by an authority that \
              tls.caBundleSecretRef names"
            .to_owned(),
    }
}

/// A cause for which rustls has no error.
fn by_objection(objection: Objection) -> String {
    match objection {
        Objection::OldVersion(version) => format!(
            "the server's certificate is of X.509 version {version}, which cannot hold host names; have \
             one of version 3 made, with a subjectAltName"
        ),
        Objection::IsAuthority => {
            "the server shows a certificate with CA:TRUE, as openssl req -x509 makes it, and this \
             certificate is not trusted; put this very certificate into the Secret of \
             tls.caBundleSecretRef"
                .to_owned()
        }
        Objection::OtherIssuerKey => {
            "the server's certificate names a trusted authority as its issuer, but another key has signed \
             it, as happens when an authority is renewed; put the authority's new certificate into the \
             Secret of tls.caBundleSecretRef"
                .to_owned()
        }
        Objection::IntermediateExpired(not_after) => format!(
            "a certificate that the server sends beside its own expired at {}; renew it at the server",
            time(not_after)
        ),
        Objection::ShortKey(bits) => format!(
            "the RSA key of the server's certificate has {bits} bits, and 2048 are the least; have a \
             certificate made with a longer key"
        ),
    }
}

/// The server has ended the handshake.
fn by_alert(alert: AlertDescription) -> String {
    let (name, way_out) = match alert {
        AlertDescription::HandshakeFailure => ("handshake_failure", CIPHERS),
        AlertDescription::InsufficientSecurity => ("insufficient_security", CIPHERS),
        AlertDescription::ProtocolVersion => (
            "protocol_version",
            "it speaks neither TLS 1.2 nor TLS 1.3; enable one of them",
        ),
        AlertDescription::UnrecognisedName => (
            "unrecognized_name",
            "it does not serve the name in the endpoint; correct the endpoint, or have the server serve \
             that name",
        ),
        AlertDescription::CertificateRequired => ("certificate_required", CLIENT_CERTIFICATE),
        AlertDescription::BadCertificate => ("bad_certificate", CLIENT_CERTIFICATE),
        AlertDescription::CertificateUnknown => ("certificate_unknown", CLIENT_CERTIFICATE),
        AlertDescription::UnknownCA => ("unknown_ca", CLIENT_CERTIFICATE),
        AlertDescription::AccessDenied => ("access_denied", CLIENT_CERTIFICATE),
        AlertDescription::NoApplicationProtocol => (
            "no_application_protocol",
            "it does not speak HTTP/1.1; enable it",
        ),
        AlertDescription::InternalError => ("internal_error", SERVER_LOG),
        AlertDescription::UnexpectedMessage => ("unexpected_message", SERVER_LOG),
        AlertDescription::BadRecordMac => ("bad_record_mac", SERVER_LOG),
        AlertDescription::RecordOverflow => ("record_overflow", SERVER_LOG),
        AlertDescription::UnsupportedCertificate => ("unsupported_certificate", SERVER_LOG),
        AlertDescription::CertificateRevoked => ("certificate_revoked", SERVER_LOG),
        AlertDescription::CertificateExpired => ("certificate_expired", SERVER_LOG),
        AlertDescription::IllegalParameter => ("illegal_parameter", SERVER_LOG),
        AlertDescription::DecodeError => ("decode_error", SERVER_LOG),
        AlertDescription::DecryptError => ("decrypt_error", SERVER_LOG),
        AlertDescription::InappropriateFallback => ("inappropriate_fallback", SERVER_LOG),
        AlertDescription::UserCanceled => ("user_canceled", SERVER_LOG),
        AlertDescription::MissingExtension => ("missing_extension", SERVER_LOG),
        AlertDescription::UnsupportedExtension => ("unsupported_extension", SERVER_LOG),
        _ => ("of another kind", SERVER_LOG),
    };
    format!(
        "the server ended the TLS handshake with the alert {name} ({}): {way_out}",
        u8::from(alert)
    )
}

const CIPHERS: &str = "it accepts no cipher suite of TLS 1.3, nor of TLS 1.2 with ECDHE, or wants a client \
                       certificate; the server's log says which";

const CLIENT_CERTIFICATE: &str = "it asks for a client certificate, which the operator does not have; turn that off at the server";

const SERVER_LOG: &str = "the server's log says why";

/// A time as it stands in a certificate.
fn time(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    seconds
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(
            || "a time beyond the year 9999".to_owned(),
            |time| time.to_string(),
        )
}

/// The first names, and how many there are besides.
fn listed(names: &[String]) -> String {
    let mut shown: Vec<&str> = Vec::new();
    let mut length = 0;
    for name in names.iter().take(MOST_NAMES) {
        length += name.len();
        if length > LONGEST_NAMES {
            break;
        }
        shown.push(name);
    }
    let left = names.len() - shown.len();
    match (shown.is_empty(), left) {
        (true, _) => format!("{left} others"),
        (false, 0) => shown.join(", "),
        (false, _) => format!("{} and {left} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    fn other_names(names: Vec<String>) -> String {
        words(&Error::InvalidCertificate(
            CertificateError::NotValidForNameContext {
                expected: ServerName::try_from("h.example.com").unwrap(),
                presented: names,
            },
        ))
    }

    #[test]
    fn the_names_of_a_certificate_are_bounded_in_number_and_length() {
        let many: Vec<_> = (0..500).map(|n| format!("n{n}.example.com")).collect();
        let told = other_names(many);
        assert!(
            told.contains("but for n0.example.com, n1.example.com"),
            "{told}"
        );
        assert!(told.contains("and 495 more"), "{told}");
        let long = format!("{}.example.com", ["a".repeat(60).as_str(); 3].join("."));
        let told = other_names(vec![long.clone(), long.clone(), long]);
        assert!(told.contains("and 2 more"), "{told}");
        assert!(told.len() < 600, "{told}");
    }

    #[test]
    fn every_alert_has_its_number_and_a_name_that_rfcs_give_it() {
        for (number, name) in [
            (40, "handshake_failure (40)"),
            (70, "protocol_version (70)"),
            (112, "unrecognized_name (112)"),
            (116, "certificate_required (116)"),
            (48, "unknown_ca (48)"),
            (80, "internal_error (80)"),
            (199, "of another kind (199)"),
        ] {
            let told = words(&Error::AlertReceived(AlertDescription::from(number)));
            assert!(
                told.contains(&format!("the alert {name}")),
                "{number}: {told}"
            );
        }
    }
}
