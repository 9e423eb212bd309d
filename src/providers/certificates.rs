//! Certificates to trust, read from PEM.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Certificate;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{api::Reason, plan::Refusal};

/// How long a line of PEM is (RFC 7468, section 2).
const LINE: usize = 64;

/// Reads PEM certificates.
///
/// # Errors
/// `CABundleInvalid` when there is none, or one cannot be read.
pub fn read(pem: &[u8]) -> Result<Vec<Certificate>, Refusal> {
    let certificates = Certificate::from_pem_bundle(pem).map_err(|_| refused("are no PEM"))?;
    if certificates.is_empty() {
        return Err(refused("hold no PEM"));
    }
    Ok(certificates)
}

/// The certificates of a bundle and nothing else: published Secrets get them, and neither a private
/// key nor a remark that stands beside them may go along.
///
/// # Errors
/// `CABundleInvalid` when there is none, or one is no PEM.
pub fn only(bundle: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut pem = String::new();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        let certificate = certificate.map_err(|_| refused("are no PEM"))?;
        let text = BASE64_STANDARD.encode(&certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(LINE) {
            pem.extend(line.iter().map(|byte| char::from(*byte)));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    if pem.is_empty() {
        return Err(refused("hold no PEM"));
    }
    Ok(pem.into_bytes())
}

fn refused(what: &str) -> Refusal {
    Refusal::new(
        Reason::CABundleInvalid,
        format!("the certificates to trust {what} certificate"),
    )
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::providers::http::{HttpClient, HttpSettings};

    /// Whether a bundle gets as far as a client.
    fn client(bundle: &[u8]) -> Result<HttpClient, Refusal> {
        HttpClient::new(
            &Url::parse("https://h").unwrap(),
            HttpSettings {
                ca_pem: Some(only(bundle)?),
                ..Default::default()
            },
        )
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for bundle in [
            "",
            "nonsense",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert_eq!(
                client(bundle.as_bytes())
                    .err()
                    .map(|refusal| refusal.reason),
                Some(Reason::CABundleInvalid),
                "{bundle:?}"
            );
        }
    }

    #[test]
    fn nothing_but_certificates_is_kept_of_a_bundle() {
        let server = testkit::wire::Certificate::for_loopback().unwrap();
        let (certificate, key) = (server.ca_pem(), server.key_pem());
        let bundle = format!("# ours, password: hunter2\n{certificate}{key}{certificate}trailing");
        let kept = String::from_utf8(only(bundle.as_bytes()).unwrap()).unwrap();
        assert_eq!(kept.matches("BEGIN").count(), 2, "{kept}");
        assert!(
            !kept.contains("PRIVATE") && !kept.contains("hunter2") && !kept.contains("trailing")
        );
        let lines = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(lines(&kept), lines(certificate).repeat(2));
        client(&kept.into_bytes()).map(drop).unwrap();
    }
}
