//! Untruths that the simulator can be told to tell. A provider has bugs, and a tenant's endpoint may be hostile.

use std::time::Duration;

/// Something wrong that the simulator says until [`super::DceSimulator::stop_lying`].
///
/// Several may be told at once, but of those about one thing only the one told last counts. What is said here of tokens
/// holds for access keys too; where the answer is empty, no token was made, but an access key was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The token has no `exp`. It works for as long as was asked.
    ExpMissing,
    /// The token's `exp` is a minute ago. It never works.
    ExpPast,
    /// The provider's clock is ahead by this much: `iat` and `exp` are both too late, the token works for as long as
    /// was asked.
    IatInFuture(Duration),
    /// The token is not a JWT but a random word. It works for as long as was asked.
    Opaque,
    /// The answer is `{}`.
    EmptyObject,
    /// The answer is `null`.
    Null,
    /// The answer is `{"token": ""}`.
    EmptyToken,
    /// The token is longer than one MiB, and else correct.
    HugeToken,
    /// The token works only for this long, whatever its `exp` says.
    DiesEarly(Duration),
    /// The token is for another user than the one whose pair was given.
    OtherUser,
    /// The self-test (`GET …/current-user`) answers 404.
    SelfTestMissing,
    /// The self-test answers 200 and the HTML of a login page, also without a token.
    SelfTestHtml,
    /// The self-test speaks of another user than the one whose token it is.
    SelfTestOtherUser,
    /// A new access key has a token and no id.
    KeyWithoutId,
    /// The list of access keys is empty, whatever there is.
    KeysHidden,
    /// An access key is deleted, says the answer, and lives on.
    DeleteUndone,
}

/// What a lie is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Tokens,
    SelfTest,
    KeyList,
    KeyDeletion,
}

impl Lie {
    pub(super) fn topic(self) -> Topic {
        match self {
            Lie::SelfTestMissing | Lie::SelfTestHtml | Lie::SelfTestOtherUser => Topic::SelfTest,
            Lie::KeysHidden => Topic::KeyList,
            Lie::DeleteUndone => Topic::KeyDeletion,
            Lie::ExpMissing
            | Lie::ExpPast
            | Lie::IatInFuture(_)
            | Lie::Opaque
            | Lie::EmptyObject
            | Lie::Null
            | Lie::EmptyToken
            | Lie::HugeToken
            | Lie::DiesEarly(_)
            | Lie::OtherUser
            | Lie::KeyWithoutId => Topic::Tokens,
        }
    }
}
