//! How a system's server is reached: what all systems' fields share.
//!
//! An endpoint's rules take turns, so that each defect is told once and in words that fit it. No
//! rule uses `url()`: it ends with an error of its own where a text is no URL, which helps nobody.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::reference::CaBundleRef;

/// Something, `://`, and something.
pub(super) const IS_ABSOLUTE: (&str, &str) = (
    "self.matches('^[a-zA-Z][-+.a-zA-Z0-9]*://.')",
    "must be an absolute URL such as https://cloud.example.com",
);

/// Of what is absolute: the right scheme, in lower case.
pub(super) const HAS_SCHEME: (&str, &str) = (
    "!self.matches('^[a-zA-Z][-+.a-zA-Z0-9]*://.') || self.matches('^https?://')",
    "must start with https:// (or with http:// together with allowHTTP: true)",
);

/// Who logs in stands in a Secret.
pub(super) const HAS_NO_USER: (&str, &str) = (
    "!self.contains('@')",
    "must not hold a user name or password; the login belongs into the Secret that auth names",
);

/// A base is extended by paths.
pub(super) const HAS_NO_QUERY: (&str, &str) = (
    "!self.contains('?') && !self.contains('#')",
    "must not hold a query or a fragment",
);

/// Of what has the right scheme and none of the forbidden parts: a host name, an IPv4 address or an
/// IPv6 address in brackets; a port from 1 to 65535; a path of unreserved characters (RFC 3986)
/// without segments that begin with a dot: what a server behind a proxy makes of anything else cannot
/// be told, and consent to an endpoint is consent to a path.
pub(super) const HAS_FORM: (&str, &str) = (
    concat!(
        "!self.matches('^https?://.') || self.matches('[@?#]') || self.matches('^https?://",
        "([a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?([.][a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?)*[.]?|[[][0-9a-fA-F:.]+[]])",
        "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
        "(/[-a-zA-Z0-9_~][-a-zA-Z0-9._~]*)*/?$')",
    ),
    "must be a host with a port and a path where needed, and nothing else: no spaces, no special characters",
);

/// Credentials of one system are not those of another.
pub(super) const STAYS: (&str, &str) = (
    "self == oldSelf",
    "cannot be changed; declare a new provider for another system",
);

/// How a server's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.caBundleSecretRef) && has(self.insecureSkipVerify) && self.insecureSkipVerify)").message("set either caBundleSecretRef or insecureSkipVerify, not both"),
)]
pub struct Tls {
    /// The Secret with the PEM certificates of the authorities to trust, instead of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_secret_ref: Option<CaBundleRef>,
    /// Do not check the server's certificate at all: whoever is on the network path can read the
    /// login. The provider carries a condition `Insecure` as long as this is set. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}
