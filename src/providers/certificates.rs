//! Certificates to trust, read from PEM.

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::characters::{is_utf16, without_invisible};
use crate::{api::Reason, plan::Refusal};

/// How long a line of PEM is (RFC 7468, section 2).
const LINE: usize = 64;

/// The line that begins a certificate.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
/// The line that ends one.
const END: &str = "-----END CERTIFICATE-----";

/// Reads every certificate of a bundle.
///
/// The PEM reader skips a certificate without an error when its first line does not begin with `-`.
/// Invisible characters, indentation and missing line breaks are therefore mended first, and the
/// certificates are counted.
///
/// # Errors
/// `CABundleInvalid` when there is none, or one cannot be read.
pub fn read(bundle: &[u8]) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    if is_utf16(bundle) {
        return Err(refused("are text in UTF-16; save them as UTF-8"));
    }
    let text = without_invisible(&String::from_utf8_lossy(bundle));
    let expected = text.matches(BEGIN).count();
    // The PEM reader needs each mark on a line of its own.
    let text = text
        .replace("-----BEGIN ", "\n-----BEGIN ")
        .replace(END, &format!("\n{END}\n"));
    let mut certificates = Vec::new();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let number = certificates.len() + 1;
        let unreadable = || {
            refused(&format!(
                "cannot be read: certificate {number} of {expected} is damaged; put it there again"
            ))
        };
        let certificate = certificate.map_err(|_| unreadable())?;
        roots.add(certificate.clone()).map_err(|_| unreadable())?;
        certificates.push(certificate);
    }
    match certificates.len() {
        0 if expected == 0 => Err(refused(&format!("hold no PEM certificate ({BEGIN})"))),
        read if read == expected => Ok(certificates),
        read => Err(refused(&format!(
            "cannot be read: of {expected} certificates only {read} have both the line {BEGIN} and the \
             line {END}"
        ))),
    }
}

/// The certificates of a bundle and nothing else: published Secrets get them, and neither a private
/// key nor a remark that stands beside them may go along.
///
/// # Errors
/// `CABundleInvalid` when there is none, or one cannot be read.
pub fn only(bundle: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut pem = String::new();
    for certificate in read(bundle)? {
        let text = BASE64_STANDARD.encode(&certificate);
        pem.push_str(BEGIN);
        pem.push('\n');
        for line in text.as_bytes().chunks(LINE) {
            pem.extend(line.iter().map(|byte| char::from(*byte)));
            pem.push('\n');
        }
        pem.push_str(END);
        pem.push('\n');
    }
    Ok(pem.into_bytes())
}

fn refused(how: &str) -> Refusal {
    Refusal::new(
        Reason::CABundleInvalid,
        format!("the certificates to trust {how}"),
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

    #[test]
    fn invisible_characters_around_certificates_hide_none_of_them() {
        let one = testkit::wire::Certificate::for_loopback().unwrap();
        let two = testkit::wire::Certificate::for_loopback().unwrap();
        let (one, two) = (one.ca_pem(), two.ca_pem());
        let crlf = |pem: &str| pem.replace('\n', "\r\n");
        let indented = |pem: &str| pem.replace('\n', "\n    ");
        let bytes = |text: String| text.into_bytes();
        let latin_1 = [b"# T\xfcrk\n".as_slice(), one.as_bytes(), two.as_bytes()].concat();
        let kept = |bundle: &[u8]| only(bundle).map(|pem| String::from_utf8(pem).unwrap());
        let expected = kept(format!("{one}{two}").as_bytes()).unwrap();
        for (name, bundle) in [
            (
                "a mark at the beginning",
                bytes(format!("\u{feff}{one}{two}")),
            ),
            ("a mark in between", bytes(format!("{one}\u{feff}{two}"))),
            (
                "marks everywhere",
                bytes(format!("\u{feff}{one}\u{feff}{two}\u{feff}")),
            ),
            ("a zero-width space", bytes(format!("{one}\u{200b}{two}"))),
            ("no-break spaces", bytes(format!("\u{a0}{one}\u{a0}{two}"))),
            (
                "line breaks of Windows",
                bytes(format!("{}{}", crlf(one), crlf(two))),
            ),
            (
                "the same with marks",
                bytes(format!("\u{feff}{}\u{feff}{}", crlf(one), crlf(two))),
            ),
            (
                "old line breaks",
                bytes(format!("{one}{two}").replace('\n', "\r")),
            ),
            (
                "no line break in between",
                bytes(format!("{}{two}", one.trim_end())),
            ),
            (
                "indentation",
                bytes(format!("    {}{}", indented(one), indented(two))),
            ),
            ("tabs", bytes(format!("\t{one}\t{two}"))),
            ("a remark in Latin-1", latin_1),
        ] {
            assert_eq!(kept(&bundle).as_ref(), Ok(&expected), "{name}");
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_told_by_its_number() {
        let good = testkit::wire::Certificate::for_loopback().unwrap();
        let good = good.ca_pem();
        let half = &good[..good.len() / 2];
        let utf16: Vec<u8> = std::iter::once(0xfeff_u16)
            .chain(good.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        for (bundle, words) in [
            (
                format!("{good}{BEGIN}\n%%%%\n{END}\n{good}").into_bytes(),
                "certificate 2 of 3 is damaged",
            ),
            (
                format!("{good}{BEGIN}\nAAAA\n{END}\n").into_bytes(),
                "certificate 2 of 2 is damaged",
            ),
            (
                format!("{good}{half}").into_bytes(),
                "certificate 2 of 2 is damaged",
            ),
            (utf16, "save them as UTF-8"),
            (b"nonsense".to_vec(), "hold no PEM certificate"),
        ] {
            let refusal = only(&bundle).unwrap_err();
            assert_eq!(refusal.reason, Reason::CABundleInvalid, "{words}");
            assert!(
                refusal.message.contains(words),
                "{words}: {}",
                refusal.message
            );
        }
    }
}
