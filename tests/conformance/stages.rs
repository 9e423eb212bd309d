//! The calls at which an answer can be bad: those of `driver::Client`.

/// Something that is done with a kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The test of the login.
    Login,
    /// What brings a credential.
    Issue,
    /// What proves it.
    Prove,
    /// What revokes it.
    Revoke,
    /// What makes sure of that.
    Confirm,
    /// What revokes it with itself, when its request goes.
    Part,
    /// What has a new one made in its place.
    Regenerate,
}

/// All of them.
pub const STAGES: &[Stage] = &[
    Stage::Login,
    Stage::Issue,
    Stage::Prove,
    Stage::Revoke,
    Stage::Confirm,
    Stage::Part,
    Stage::Regenerate,
];

impl Stage {
    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Login => "login",
            Stage::Issue => "issue",
            Stage::Prove => "prove",
            Stage::Revoke => "revoke",
            Stage::Confirm => "confirm",
            Stage::Part => "part",
            Stage::Regenerate => "regenerate",
        }
    }

    /// What every row of it shows.
    pub fn promise(self) -> &'static str {
        match self {
            Stage::Login => {
                "a login is not said to work, and one that is refused is said to be; when the answers are good again, \
                 it works."
            }
            Stage::Issue => {
                "nothing is taken for a credential, and one is asked for once at most; when the answers are good again, \
                 one is issued, and what the attempt may have left is revoked by its name."
            }
            Stage::Prove => {
                "a credential is not said to work. It is said not to work only where the system itself says that, in \
                 its own words or more than once: everything else says nothing about it."
            }
            Stage::Revoke => {
                "nothing is said to be gone; when the answers are good again, it is revoked."
            }
            Stage::Confirm => {
                "nothing is said to be gone for certain; when the answers are good again, it is."
            }
            Stage::Part => {
                "a credential that works is not said to be revoked; when the answers are good again, it is."
            }
            Stage::Regenerate => {
                "the call that destroys the key before is made once, or not at all, whatever is answered; and whether \
                 the system was told is said as far as it can be known."
            }
        }
    }
}
