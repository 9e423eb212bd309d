//! Certificates and the private keys that belong to them.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};

/// The only purpose that a certificate is limited to.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// To prove who a server is.
    Servers,
    /// To prove who a client is.
    Clients,
}

/// The fields of a certificate that tests choose.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The common name.
    pub common_name: String,
    /// The DNS names and IP addresses of `subjectAltName`; no such extension when empty.
    pub names: Vec<String>,
    /// Whether the certificate says that it belongs to an authority (`CA:TRUE`).
    pub is_authority: bool,
    /// `extendedKeyUsage`; absent when `None`.
    pub purpose: Option<Purpose>,
    /// The first day of its validity: year, month, day.
    pub not_before: (i32, u8, u8),
    /// The day on which its validity ends: year, month, day.
    pub not_after: (i32, u8, u8),
}

impl Subject {
    /// A server's certificate for `localhost`, 127.0.0.1 and ::1, valid for a very long time.
    #[must_use]
    pub fn loopback() -> Self {
        Subject::named(&["localhost", "127.0.0.1", "::1"])
    }

    /// As [`Subject::loopback`], with these names instead.
    #[must_use]
    pub fn named(names: &[&str]) -> Self {
        Subject {
            common_name: "localhost".to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            is_authority: false,
            purpose: None,
            not_before: (1975, 1, 1),
            not_after: (2300, 1, 1),
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.names.clone()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, &*self.common_name);
        if self.is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.use_authority_key_identifier_extension = true;
        } else {
            params.is_ca = IsCa::ExplicitNoCa;
        }
        params.extended_key_usages = match self.purpose {
            None => Vec::new(),
            Some(Purpose::Servers) => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Some(Purpose::Clients) => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        let (year, month, day) = self.not_before;
        params.not_before = date_time_ymd(year, month, day);
        let (year, month, day) = self.not_after;
        params.not_after = date_time_ymd(year, month, day);
        params
    }
}

/// The certificates that a server shows, its own first, and a private key.
pub struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Identity {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl Identity {
    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        Identity {
            chain,
            key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        }
    }

    /// Reads a certificate and a private key from PEM.
    pub(super) fn from_pem(certificate: &str, key: &str) -> Self {
        Identity {
            chain: vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            key: PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        }
    }

    /// The server's own certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem(&self.chain[0])
    }

    /// The same certificates with the private key of `other`: the server cannot prove that they are its own.
    #[must_use]
    pub fn with_key_of(&self, other: &Identity) -> Self {
        Identity {
            chain: self.chain.clone(),
            key: other.key.clone_key(),
        }
    }

    /// The same without the certificates that the server sends beside its own.
    #[must_use]
    pub fn alone(&self) -> Self {
        Identity {
            chain: self.chain[..1].to_vec(),
            key: self.key.clone_key(),
        }
    }
}

/// A certificate that its own key has signed.
#[must_use]
pub fn self_signed(subject: &Subject) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = subject.params().self_signed(&key).unwrap();
    Identity::new(vec![certificate.der().clone()], &key)
}

/// An authority that signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The authority's certificate, and those between it and the one that nobody else has signed.
    chain: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// An authority of that name, whose certificate is valid until a day: year, month, day.
    #[must_use]
    pub fn until(name: &str, not_after: (i32, u8, u8)) -> Self {
        let (key, params) = Self::parts(name, not_after);
        let certificate = params.self_signed(&key).unwrap();
        Authority {
            issuer: Issuer::new(params, key),
            chain: vec![certificate.der().clone()],
        }
    }

    /// An authority of that name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Authority::until(name, (2300, 1, 1))
    }

    /// An authority below this one, whose certificate is valid until a day: year, month, day.
    #[must_use]
    pub fn below(&self, name: &str, not_after: (i32, u8, u8)) -> Self {
        let (key, params) = Self::parts(name, not_after);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut chain = vec![certificate.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Authority {
            issuer: Issuer::new(params, key),
            chain,
        }
    }

    fn parts(name: &str, not_after: (i32, u8, u8)) -> (KeyPair, CertificateParams) {
        let subject = Subject {
            common_name: name.to_owned(),
            is_authority: true,
            not_after,
            ..Subject::named(&[])
        };
        let mut params = subject.params();
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (KeyPair::generate().unwrap(), params)
    }

    /// Signs a certificate. The server shows it together with those of the authorities in between.
    #[must_use]
    pub fn issue(&self, subject: &Subject) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = subject.params();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut chain = vec![certificate.der().clone()];
        chain.extend(self.chain[..self.chain.len() - 1].iter().cloned());
        Identity::new(chain, &key)
    }

    /// The authority's own certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem(&self.chain[0])
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let text = BASE64_STANDARD.encode(certificate);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
