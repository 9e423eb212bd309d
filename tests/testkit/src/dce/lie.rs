//! Untruths that the simulator can be told to tell. A provider has bugs, and a tenant's endpoint may be hostile.

use std::time::Duration;

/// Something wrong that the simulator says until [`super::DceSimulator::stop_lying`].
///
/// Several may be told at once, but of those about tokens only the one told last counts.
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
}

impl Lie {
    /// Whether it is about the answer of the self-test; else it is about tokens.
    pub(super) fn about_self_test(self) -> bool {
        matches!(self, Lie::SelfTestMissing | Lie::SelfTestHtml)
    }
}
