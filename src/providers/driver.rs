//! What every system's folder implements, so that they all look alike from outside.

use jiff::Timestamp;

use super::{
    Holder, Identity, Issuance, Kind, LoginKey, LoginValues, NotRegenerated, Permission, Reach,
    Regenerated, crossed,
    http::{HttpClient, Turns},
};
use crate::{
    api::provider::Grant,
    plan::{Credential, Failure, Proof, Refusal, Revocation},
    secret::SecretData,
};

/// A provider's settings, checked.
pub trait Config {
    /// What a request asks this system for.
    type Ask: Ask;
    /// What the provider adds to each Secret.
    type Layout: Layout<Ask = Self::Ask>;
    /// What talks to the system.
    type Client: Client<Ask = Self::Ask>;

    /// The keys of the login Secret that are needed, or may be there.
    fn login_keys(&self) -> Vec<LoginKey>;

    /// What the provider adds to each Secret. `ca_pem` are the certificates of [`Reach::ca`].
    fn layout(&self, reach: &Reach, ca_pem: Option<&[u8]>) -> Self::Layout;

    /// A client with a login.
    ///
    /// # Errors
    /// When a value cannot be a login of this system.
    fn connect(
        &self,
        http: HttpClient,
        login: &LoginValues,
        layout: Self::Layout,
    ) -> Result<Self::Client, Refusal>;
}

/// What a request asks for, checked.
pub trait Ask {
    /// A digest of what is asked of the provider.
    fn digest(&self) -> String;

    /// When all of it ends, and the field that says so.
    fn ends(&self) -> Option<(Timestamp, &'static str)> {
        None
    }

    /// Whether the annotation `rotate` has the provider make a key anew, which destroys the one before;
    /// otherwise it is read again.
    fn regenerates(&self) -> bool {
        false
    }

    /// Whether a grant, which is for the right namespace, may allow it, as far as that can be told
    /// without the provider.
    ///
    /// # Errors
    /// When it does not, with words about its limits, or none where it is about something else.
    fn may_be_allowed_by(&self, grant: &Grant) -> Result<(), Option<String>>;
}

/// What a provider adds to each Secret.
pub trait Layout {
    /// What a request asks this system for.
    type Ask;

    /// A digest of what workloads are told beside the credential; none where that never changes.
    fn digest(&self) -> Option<String>;

    /// All keys of a Secret from those that are left of them: each guess that can be made.
    fn recover(
        &self,
        ask: &Self::Ask,
        found: &SecretData,
        credential: &Credential,
    ) -> Vec<SecretData>;
}

/// Talks to a system with a login.
#[allow(async_fn_in_trait)] // Called on known types alone, so that futures can be sent.
pub trait Client {
    /// What a request asks this system for.
    type Ask;

    /// Logs in once, to see whether the login works.
    ///
    /// # Errors
    /// The failure of the call, by its reason.
    async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure>;

    /// Whether something goes on working when the login Secret is lost.
    fn has_living_session(&self) -> bool {
        false
    }

    /// Has a credential issued. The credential's serial and digest are left to the caller.
    ///
    /// # Errors
    /// The failure of the call, by its reason; `NotAllowed` where the grants do not allow what the
    /// provider says about the login.
    async fn issue(
        &self,
        turns: &dyn Turns,
        ask: &Self::Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure>;

    /// Has a key made anew, which destroys the one before. Called once, where [`Ask::regenerates`].
    ///
    /// # Errors
    /// Why not, and whether the provider may have done it all the same.
    async fn regenerate(
        &self,
        _turns: &dyn Turns,
        _ask: &Self::Ask,
        _permission: &Permission,
    ) -> Result<Regenerated, NotRegenerated> {
        Err(crossed().into())
    }

    /// Proves that a credential works. Where it is only read, and with a `permission`, whoever can only tell
    /// with the provider whether the grants still allow it looks at that, too.
    ///
    /// # Errors
    /// When that could not be found out; `NotAllowed` as in [`Client::issue`]. That it does not work is
    /// [`Proof::Refused`].
    async fn verify(
        &self,
        turns: &dyn Turns,
        ask: &Self::Ask,
        permission: Option<&Permission>,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure>;

    /// Has revoked whatever is there by the name of a request and a serial and belongs to the request.
    /// `ask` is what the request asks for now, where that is valid and allowed.
    ///
    /// # Errors
    /// When that could not be done.
    async fn revoke(
        &self,
        _turns: &dyn Turns,
        _kind: Kind,
        _ask: Option<&Self::Ask>,
        _holder: &Holder<'_>,
    ) -> Result<Revocation, Failure> {
        Err(crossed())
    }

    /// Makes sure that nothing is there by the name of a request and a serial.
    ///
    /// # Errors
    /// When it is still there, or that could not be found out.
    async fn confirm(
        &self,
        _turns: &dyn Turns,
        _kind: Kind,
        _ask: Option<&Self::Ask>,
        _holder: &Holder<'_>,
    ) -> Result<(), Failure> {
        Err(crossed())
    }

    /// Revokes what a Secret holds, for a kind whose requests go without waiting for that.
    ///
    /// # Errors
    /// When that could not be done.
    async fn part(
        &self,
        _turns: &dyn Turns,
        _kind: Kind,
        _data: &SecretData,
    ) -> Result<(), Failure> {
        Err(crossed())
    }
}
