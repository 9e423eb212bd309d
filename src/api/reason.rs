//! The closed list of reasons: every condition, event and failure metric carries one of these.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares [`Reason`], [`Reason::ALL`] and [`Reason::meaning`] from one list, so that the
/// reference in the docs cannot name a reason that does not exist, or miss one that does.
macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $name:ident => $way_out:literal,)+) => {
        /// Why a condition is as it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// The reason's name as it stands in a condition.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)+ }
            }

            /// What the reason says.
            pub fn meaning(self) -> &'static str {
                match self { $(Reason::$name => concat!($($meaning,)+).trim_ascii(),)+ }
            }

            /// Who has to do what.
            pub fn way_out(self) -> &'static str {
                match self { $(Reason::$name => $way_out,)+ }
            }
        }
    };
}

reasons! {
    /// The credential was proven to work and is in the Secret.
    Synced => "Nothing to do.",
    /// The credential is in the Secret; the provider has no way to prove it.
    SyncedUnverified => "Nothing to do; the first use shows whether it works.",
    /// The operator is working on it.
    Progressing => "Nothing to do; it takes seconds.",
    /// The provider's budget is spent for the moment; the request stands in the queue.
    WaitingForBudget => "Nothing to do; when it lasts, raise the provider's spec.budget.",
    /// Nothing is wrong.
    Nominal => "Nothing to do.",
    /// `spec.suspend` is set.
    Suspended => "Set spec.suspend to false.",
    /// A field of the spec is not valid.
    InvalidSpec => "Correct the field that the message names.",
    /// The stored object cannot be read by this version of the operator.
    Undecodable => "Apply the object anew with the CRDs of this version.",
    /// The provider that the request names is not there.
    ProviderNotFound => "Create it, or correct spec.providerRef.",
    /// The provider is being deleted and issues nothing any more.
    ProviderTerminating => "Create a request that names another provider, and delete this one.",
    /// The provider is being deleted and waits for requests whose credentials have to be revoked.
    InUse => "Delete the requests that the message names; their credentials are revoked, and then the provider goes.",
    /// The request is being deleted, and its credentials are being revoked.
    Revoking => "Nothing to do; what keeps it waiting, if anything does, is in the message.",
    /// No grant of the provider allows what the request asks for.
    NotAllowed => "The cluster operator adds a grant to the provider's spec.allow, or the request asks for less. Where it depends on roles at the provider, it is tried again by itself, ever more rarely.",
    /// The Secret exists and does not belong to the request.
    TargetNotOwned => "Choose another spec.secret.name, remove the Secret, or let its owner consent with the annotation credential-operator.dev/adopt-by.",
    /// The Secret is marked immutable and cannot be written.
    TargetImmutable => "Delete the Secret; it is created anew.",
    /// The Secret is being deleted and something holds it.
    TargetTerminating => "Remove what holds it (its finalizers).",
    /// Something else changes the data of the Secret, deletes the Secret, or removes the operator's
    /// finalizer, again and again.
    TargetContested => "Find out who else writes or deletes the Secret, or removes the finalizer. What may change an object while it is written: kubectl get mutatingwebhookconfigurations,mutatingadmissionpolicies",
    /// The credential in the Secret is whole, and the cluster changes labels, annotations or owners
    /// of the Secret whenever the operator writes them.
    TargetAltered => "Have the webhook or policy that changes the Secret leave alone what the message names: kubectl get mutatingwebhookconfigurations,mutatingadmissionpolicies",
    /// The API server refused to write the Secret.
    SecretRefused => "The message names what refused it: a webhook, an admission policy, a quota, or the operator's own rights.",
    /// The API server refused to read the Secret.
    SecretUnreadable => "Give the operator the right to read Secrets, or see why the API server cannot read them.",
    /// The API server refused to write the operator's finalizer.
    FinalizerRefused => "The message names what refused it: a webhook, an admission policy, or the operator's own rights.",
    /// The login Secret, or a Secret with certificates, is not there.
    LoginSecretNotFound => "Create the Secret, or correct the reference.",
    /// The login Secret lacks a key that the provider names.
    LoginKeyNotFound => "Add the key to the Secret, or correct the provider's field.",
    /// A value in the login Secret is empty, too long, not text, or has an invisible character.
    LoginInvalid => "Correct the value in the Secret; the message has the key, and the position of an invisible character.",
    /// The login Secret does not say that it may be used for this endpoint.
    NoConsent => "Who owns the Secret sets the annotation that the message names.",
    /// The certificates to trust cannot be read.
    CABundleInvalid => "Put PEM certificates under the key that the message names.",
    /// The endpoint may not be used.
    EndpointRefused => "Correct the endpoint, or see the operator's flag --tenant-endpoints.",
    /// The login works.
    LoginWorks => "Nothing to do.",
    /// The provider refused the login.
    LoginRefused => "Correct the login Secret; it is picked up at once. Until then it is tried about every half hour and no more often, so that no account gets locked.",
    /// The login works, but not for what the request names.
    ScopeRefused => "Correct what the message names in the request, or give the login access to it, such as a role in the project or membership of the environment.",
    /// Credentials by the names that are derived for the request exist and belong to somebody else.
    IdentityTaken => "Create the request anew under another name, and find out who made the credentials that the message names.",
    /// The login works, but may not do this.
    Forbidden => "Give the login the right, or use another login.",
    /// The credential can be ended only together with others, which is about to happen.
    DestroysMore => "The message lists what goes. Whoever wants to keep it gives the request the annotation credential-operator.dev/abandon with the value all.",
    /// The provider refuses more credentials.
    QuotaExceeded => "Remove credentials at the provider, or raise the quota.",
    /// The provider asked for fewer calls.
    RateLimited => "Nothing to do; when it lasts, lower the provider's spec.budget.",
    /// The provider could not be reached or answered with an error of its own.
    ProviderUnavailable => "Nothing to do at first; when it lasts, look at the provider.",
    /// The provider did not answer in time.
    Timeout => "Nothing to do at first; when it lasts, look at the provider.",
    /// The TLS handshake with the provider failed, for example because of its certificate.
    TLSFailed => "Do what the message says: it names the cause.",
    /// The provider answered something that makes no sense.
    UnexpectedAnswer => "Check that the endpoint is the system that the provider names.",
    /// The annotation `rotate` would have a new key made of the very user that the operator logs in as, which would shut it out; or the request would write the login Secret, and take it along when it goes.
    WouldBreakLogin => "Make a new key at the provider by hand and put it into the login Secret, or let the request write the login Secret itself, with deletionPolicy Retain.",
    /// A key was to be made anew, once, and was not, or nobody knows: what is published is what the provider has now.
    NotRegenerated => "See the message; another value of the annotation credential-operator.dev/rotate has it tried once more.",
    /// The provider does not offer this kind of credential any more.
    NotOffered => "Ask for the kind that the message names.",
    /// The provider issued a credential that its own check refuses; or, where one is only read, two
    /// readings in a row differed.
    VerificationFailed => "Nothing to do at first; when it lasts, look at the provider.",
    /// The published credential has expired, and its successor could not be had.
    Expired => "See the message for what kept it from being renewed.",
    /// The operator itself failed on this object.
    InternalError => "Report it; the operator's log has the details.",
    /// The server's certificate is not checked.
    SkipsVerification => "Use tls.caBundleSecretRef instead.",
    /// The connection is not encrypted.
    PlainHTTP => "Use an https endpoint.",
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
