//! RS256, as ghippo's tokens are signed.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// The issuer of ghippo's tokens (access key page, decoded sample).
pub(super) const ISSUER: &str = "ghippo.io";

/// What a token claims: these fields and no others, in this order (access key page, decoded sample). No `aud`, `jti` or
/// `nbf`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    /// Seconds since the epoch; only a lie leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exp: Option<i64>,
    /// Seconds since the epoch.
    pub(super) iat: i64,
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) preferred_username: String,
    pub(super) groups: Vec<String>,
}

/// The RSA key of this process. All simulators share it, because making one takes long; each has a `kid` of its own, so
/// that a token of one is not good at another.
struct Key {
    pair: KeyPair,
    public: DecodingKey,
}

fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let public = DecodingKey::from_rsa_der(pair.public_key_raw());
        Key { pair, public }
    })
}

/// Signs and checks the tokens of one simulator.
pub(super) struct Signer {
    kid: String,
    /// The first part of every token, and the dot after it.
    header: String,
}

impl Signer {
    pub(super) fn new() -> Self {
        let random = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
        let kid = URL_SAFE_NO_PAD.encode(random);
        let header = json!({"alg": "RS256", "kid": kid, "typ": "JWT"}).to_string();
        let header = format!("{}.", URL_SAFE_NO_PAD.encode(header));
        // Now rather than at the first request: a test that measures time should not measure this.
        key();
        Self { kid, header }
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// The token. RS256 has no randomness: equal claims give equal tokens, as at the real one.
    ///
    /// Signing goes straight to the parsed key: `jsonwebtoken::encode` would parse it anew for every token.
    pub(super) fn sign(&self, claims: &Claims) -> String {
        let mut token = self.header.clone();
        let claims = serde_json::to_vec(claims).unwrap();
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = key().pair.sign(token.as_bytes()).unwrap();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// Whether the signature of `message` (header, dot, claims) is ours.
    pub(super) fn is_ours(&self, message: &str, signature: &str) -> bool {
        let message = message.as_bytes();
        jsonwebtoken::crypto::verify(signature, message, &key().public, Algorithm::RS256)
            .unwrap_or(false)
    }
}
