//! New keys, which whoever knows when the service started can tell beforehand.

use std::sync::Mutex;

/// The letters of keys (source, `utils.go`).
const LETTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// How many letters an access key has, and how many a secret key (source, `keystone.go`).
const LENGTHS: (usize, usize) = (16, 32);

/// Draws keys, one letter after the other, from a seed that is a second: that in which the service started.
///
/// The real one draws from Go's `math/rand`; this one from SplitMix64. What matters is the same: two that started in
/// one second make the same keys, and who guesses the second knows all of them.
pub(super) struct Generator(Mutex<u64>);

impl Generator {
    pub(super) fn new(started: i64) -> Self {
        Self(Mutex::new(started.cast_unsigned()))
    }

    /// The next access key and secret key.
    pub(super) fn draw(&self) -> (String, String) {
        let mut state = self.0.lock().unwrap();
        let mut word = |length| (0..length).map(|_| letter(&mut state)).collect();
        (word(LENGTHS.0), word(LENGTHS.1))
    }
}

fn letter(state: &mut u64) -> char {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let letter = mixed % LETTERS.len() as u64;
    LETTERS[usize::try_from(letter).unwrap()].into()
}
