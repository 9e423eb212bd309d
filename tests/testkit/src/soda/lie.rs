//! Untruths that the simulator can be told to tell, beyond those that SODA tells by itself.

/// Something wrong that the simulator says until [`super::SodaSimulator::stop_lying`]. Of several only the one told last
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// A new key is made, and the answer is `{}`.
    EmptyObject,
    /// A new key is made, and the answer is `null`.
    Null,
    /// A new key is made, and the answer tells no secret.
    EmptySecret,
    /// Reading tells of keys that belong to somebody else.
    OtherUser,
    /// Reading tells other secrets than those that Keystone has.
    OtherSecret,
    /// Reading tells of no key: `null`, as SODA itself says it when Keystone fails.
    Hidden,
}
