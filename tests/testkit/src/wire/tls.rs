//! TLS settings of the proxy, as a client and as a server.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::certificate::Certificate;

/// Trusts `ca_pem` and nothing else.
pub(super) fn client_config(ca_pem: Option<&str>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.unwrap_or_default().as_bytes()) {
        roots.add(certificate.context("not a certificate")?)?;
    }
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

pub(super) fn server_config(certificate: &Certificate) -> Result<ServerConfig> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(certificate.chain_pem().as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes())?;
    Ok(ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?)
}

/// Named, because a process-wide default may not have been chosen.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
