//! TLS settings of the HTTP client, and the check of a server's certificate.
//!
//! rustls and webpki check the chain, the time and the name. One exception is added: a server
//! certificate that is byte for byte one of the provider's own bundle needs no chain. webpki refuses
//! such a certificate where it says `CA:TRUE`, which `openssl req -x509` writes by default. Time,
//! purpose and name are checked then as well, and the signature of the handshake in every case: a
//! copy of a trusted certificate without its private key is worth nothing.
//!
//! `docs/decisions/0027-a-trusted-certificate-that-is-the-servers-own.md` has the reasons.

use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, DnsName, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, public_key::PublicKey,
    x509::X509Version,
};

use crate::{api::Reason, plan::Refusal};

/// The shortest RSA key that rustls accepts, in bits.
const SHORTEST_RSA_KEY: usize = 2048;

/// A cause for which rustls has no error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// The certificate is of an X.509 version before 3, which has no names that count.
    #[error("the certificate is of version {0}")]
    OldVersion(u32),
    /// The certificate says `CA:TRUE` and is none of those that the bundle names.
    #[error("the certificate is that of an authority")]
    IsAuthority,
    /// A trusted authority has the name of the issuer, and another key.
    #[error("the certificate is signed with another key than that of its authority")]
    OtherIssuerKey,
    /// A certificate between the server's own and the authority has expired.
    #[error("an intermediate certificate has expired")]
    IntermediateExpired(UnixTime),
    /// The RSA key of the certificate has so few bits.
    #[error("the key has {0} bits")]
    ShortKey(usize),
}

/// The settings of a client that trusts this bundle, or the public authorities where there is none.
///
/// # Errors
/// `CABundleInvalid` when there is no certificate that can be trusted.
pub fn config(bundle: Option<Vec<CertificateDer<'static>>>) -> Result<ClientConfig, Refusal> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let mut roots = RootCertStore::empty();
    let named = if let Some(bundle) = bundle {
        for certificate in &bundle {
            roots.add(certificate.clone()).map_err(|_| unusable())?;
        }
        bundle
    } else {
        // Some of the public ones may be too old for webpki; the others count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Vec::new()
    };
    let chain = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .build()
        .map_err(|_| unusable())?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| unusable())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { chain, named }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn unusable() -> Refusal {
    Refusal::new(
        Reason::CABundleInvalid,
        "none of the certificates to trust can be used; if tls.caBundleSecretRef is absent, the \
         operator's image lacks the public authorities: name the certificates there",
    )
}

/// Checks certificates of servers.
#[derive(Debug)]
struct Verifier {
    /// Checks chains, and the signatures of handshakes.
    chain: Arc<WebPkiServerVerifier>,
    /// The certificates of the provider's own bundle; empty where the public authorities are trusted.
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = if self.named.iter().any(|named| named == end_entity) {
            check_without_chain(end_entity, server_name, now)
        } else {
            self.chain.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            )
        };
        verdict.map_err(|error| explain(error, end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls12_signature(message, cert, dss)
            .map_err(|error| blame_short_key(error, cert))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls13_signature(message, cert, dss)
            .map_err(|error| blame_short_key(error, cert))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Checks everything but the chain, for a certificate that the provider's bundle names itself.
fn check_without_chain(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    // webpki's own parser goes first: it refuses version 1 and critical extensions that nobody knows.
    let parsed = ParsedCertificate::try_from(certificate)?;
    let x509 = read(certificate).ok_or(CertificateError::BadEncoding)?;
    let not_before = unix_time(x509.validity().not_before.timestamp());
    if now < not_before {
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        }
        .into());
    }
    let not_after = unix_time(x509.validity().not_after.timestamp());
    if now > not_after {
        return Err(CertificateError::ExpiredContext {
            time: now,
            not_after,
        }
        .into());
    }
    let purposes = x509
        .extended_key_usage()
        .map_err(|_| CertificateError::BadEncoding)?;
    if purposes.is_some_and(|purposes| !purposes.value.server_auth) {
        return Err(CertificateError::InvalidPurpose.into());
    }
    verify_server_name(&parsed, server_name)?;
    Ok(ServerCertVerified::assertion())
}

/// Adds to an error what can be read from the certificate, and keeps text of the certificate out of
/// it, apart from well-formed names.
fn explain(error: Error, certificate: &CertificateDer<'_>) -> Error {
    let Error::InvalidCertificate(kind) = error else {
        return error;
    };
    let x509 = read(certificate);
    let kind = match (kind, x509) {
        (CertificateError::NotValidForNameContext { expected, .. }, Some(x509)) => {
            CertificateError::NotValidForNameContext {
                expected,
                presented: names(&x509),
            }
        }
        (CertificateError::NotValidForNameContext { .. }, None) => {
            CertificateError::NotValidForName
        }
        (CertificateError::BadSignature, _) => objection(Objection::OtherIssuerKey),
        (CertificateError::ExpiredContext { not_after, .. }, Some(x509))
            if not_after != unix_time(x509.validity().not_after.timestamp()) =>
        {
            objection(Objection::IntermediateExpired(not_after))
        }
        (CertificateError::Other(_), Some(x509)) if x509.version() != X509Version::V3 => {
            objection(Objection::OldVersion(x509.version().0.saturating_add(1)))
        }
        (CertificateError::Other(_), Some(x509)) if x509.is_ca() => {
            objection(Objection::IsAuthority)
        }
        (kind, _) => kind,
    };
    Error::InvalidCertificate(kind)
}

/// A short RSA key makes every signature fail. The words for a failed signature would lead astray.
fn blame_short_key(error: Error, certificate: &CertificateDer<'_>) -> Error {
    let bits = read(certificate).and_then(|x509| match x509.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => Some(key.key_size()),
        _ => None,
    });
    match bits.filter(|bits| *bits < SHORTEST_RSA_KEY) {
        Some(bits) => Error::InvalidCertificate(objection(Objection::ShortKey(bits))),
        None => error,
    }
}

fn objection(objection: Objection) -> CertificateError {
    CertificateError::Other(OtherError(Arc::new(objection)))
}

fn read<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(certificate)
        .ok()
        .map(|(_, x509)| x509)
}

fn unix_time(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// The DNS names and IP addresses of a certificate that are well-formed.
fn names(x509: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = x509.subject_alternative_name() else {
        return Vec::new();
    };
    let names = names.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => {
                let fixed = name.strip_prefix("*.").unwrap_or(name);
                DnsName::try_from(fixed).ok().map(|_| (*name).to_owned())
            }
            GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
            _ => None,
        })
        .collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use testkit::tls::{OpenSsl, Subject, self_signed};

    use super::*;
    use crate::providers::{certificates, handshake};

    fn certificate(pem: &str) -> CertificateDer<'static> {
        certificates::read(pem.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn a_short_rsa_key_is_named_instead_of_the_signature_that_fails_for_it() {
        let openssl = OpenSsl::new();
        let failed = Error::InvalidCertificate(CertificateError::BadSignature);
        for (bits, expected) in [("1024", "has 1024 bits"), ("2048", "the private key")] {
            let newkey = format!("rsa:{bits}");
            let identity = openssl.self_signed(&["-newkey", &newkey]);
            let error = blame_short_key(failed.clone(), &certificate(&identity.pem()));
            let words = handshake::words(&error);
            assert!(words.contains(expected), "{bits}: {words}");
        }
    }

    #[test]
    fn an_empty_bundle_trusts_nothing_instead_of_the_public_authorities() {
        let refused = config(Some(Vec::new())).err();
        assert_eq!(refused.map(|it| it.reason), Some(Reason::CABundleInvalid));
    }

    #[test]
    fn only_well_formed_names_of_a_certificate_are_told() {
        let odd = [
            "good.example.com",
            "*.good.example.com",
            "10.0.0.7",
            "a b",
            "x<y>",
            "-",
        ];
        let identity = self_signed(&Subject::named(&odd));
        let certificate = certificate(&identity.pem());
        let told = names(&read(&certificate).unwrap());
        assert_eq!(told, ["good.example.com", "*.good.example.com", "10.0.0.7"]);
    }
}
