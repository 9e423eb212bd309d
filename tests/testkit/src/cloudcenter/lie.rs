//! Untruths that the simulator can be told to tell. A provider has bugs, and a tenant's endpoint may be hostile.

/// Something wrong that the simulator says until [`super::CloudCenterSimulator::stop_lying`]. Several may be told at
/// once, but of those about one answer only the one told last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The list ignores `page`: it is always the first page, and says so.
    FirstPageAgain,
    /// The list never ends: after the first page come pages of users who do not exist, each with the promise of more.
    EndlessPages,
    /// The list does not say which page it is and how many there are.
    NoTotals,
    /// An answer about one user, or about a key, is about somebody else.
    SomebodyElse,
    /// The answer about a key is `{"apiKey": {}}`.
    NoKey,
    /// The answer about a key is `{"apiKey": null}`.
    NullKey,
    /// The key is empty.
    EmptyKey,
    /// The key has two MiB.
    HugeKey,
    /// The key holds a colon, a quote, a line break and letters beyond ASCII.
    OddKey,
}

impl Lie {
    /// Which answers it is about: lists, or else single users and keys.
    pub(super) fn about_lists(self) -> bool {
        use Lie::{EndlessPages, FirstPageAgain, NoTotals};
        matches!(self, FirstPageAgain | EndlessPages | NoTotals)
    }
}
