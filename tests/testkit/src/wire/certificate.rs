//! A certificate for a server on loopback.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A server certificate for `127.0.0.1`, `::1` and `localhost`, with an authority of its own that
/// vouches for it.
#[derive(Clone)]
pub struct Certificate {
    ca_pem: String,
    leaf_pem: String,
    key_pem: String,
}

impl Certificate {
    /// Makes a new authority and a certificate of it.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn for_loopback() -> Result<Self> {
        let ca_key = KeyPair::generate()?;
        let mut ca = named("testkit authority", Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = ca.self_signed(&ca_key)?.pem();

        let key = KeyPair::generate()?;
        let names = ["127.0.0.1", "::1", "localhost"].map(String::from);
        let mut leaf = named("testkit server", names.into())?;
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.use_authority_key_identifier_extension = true;
        let leaf_pem = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?.pem();
        Ok(Self {
            ca_pem,
            leaf_pem,
            key_pem: key.serialize_pem(),
        })
    }

    /// What a client must trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What the server presents.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.leaf_pem
    }

    /// The server's private key (PKCS #8).
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

/// Different names for the authority and the server: with the same, verifiers take the certificate
/// for self-signed.
fn named(name: &str, subject_alternative_names: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(subject_alternative_names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
