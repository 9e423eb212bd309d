//! What each kind of credential can do at its provider, and what becomes of one: the rows of
//! `docs/reference/kinds.md`. What the plan goes by follows from the same rows, so that what people read
//! there and what is done cannot differ.
//!
//! A further kind does not compile before it has both rows.

use super::Kind;
use crate::plan::Traits;

/// What a kind can do at its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The provider shows one again, with what is secret in it.
    pub rereadable: bool,
    /// What making a new one does to those that are there.
    pub making: Making,
    /// How a single one is deleted.
    pub deletion: Deletion,
    /// Whether one ends by itself.
    pub expiry: Expiry,
}

/// What making a new one does to those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// Nothing: it is one more, and the operator makes it.
    Additive,
    /// Nothing: there may be several, but somebody else makes them, and the operator shares one.
    AdditiveElsewhere,
    /// There is one alone. Who has a new one made kills it, and that is done at the provider, by somebody
    /// else.
    KillsTheOldElsewhere,
    /// There is one alone, which a new one kills. A request can say that the annotation `rotate` has one made.
    KillsTheOldOnRotation,
}

/// How a single one is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// By a name that follows from the request and the serial, so that nothing that was ever made has to
    /// be remembered.
    ByName,
    /// With nothing but the credential itself, as long as that is at hand.
    ByItself,
    /// Only together with all others of its user: not by a rotation, and with its request alone, after it was
    /// said what goes.
    WithAllOthers,
    /// Not at all.
    Never,
}

/// Whether one ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Each one does.
    Always,
    /// One does whose request says so, or whose grant wants it.
    OnRequest,
    /// None does.
    Never,
}

/// What becomes of one, for people; Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// What is made at the provider.
    pub created: &'static str,
    /// How it is proven before it is published, and whenever it is proven again.
    pub proven: &'static str,
    /// What a rotation does.
    pub rotation: &'static str,
    /// What happens when the request is deleted.
    pub deletion: &'static str,
}

impl Capabilities {
    /// What the plan goes by.
    pub fn traits(&self) -> Traits {
        Traits {
            revocable: matches!(self.deletion, Deletion::ByName | Deletion::WithAllOthers),
            parting: self.deletion == Deletion::ByItself,
            fetched: self.rereadable && self.making != Making::Additive,
            regenerable: self.making == Making::KillsTheOldOnRotation,
            shared: self.deletion == Deletion::WithAllOthers,
        }
    }
}

impl Kind {
    /// What it can do at its provider.
    pub fn capabilities(self) -> Capabilities {
        match self {
            Kind::DceToken => Capabilities {
                rereadable: false,
                making: Making::Additive,
                deletion: Deletion::Never,
                expiry: Expiry::Always,
            },
            Kind::DceAccessKey => Capabilities {
                rereadable: false,
                making: Making::Additive,
                deletion: Deletion::ByName,
                expiry: Expiry::OnRequest,
            },
            Kind::KeystoneAccessKey => Capabilities {
                rereadable: true,
                making: Making::Additive,
                deletion: Deletion::ByName,
                expiry: Expiry::Never,
            },
            Kind::KeystoneApplicationCredential => Capabilities {
                rereadable: false,
                making: Making::Additive,
                deletion: Deletion::ByName,
                expiry: Expiry::OnRequest,
            },
            Kind::KeystoneToken => Capabilities {
                rereadable: false,
                making: Making::Additive,
                deletion: Deletion::ByItself,
                expiry: Expiry::Always,
            },
            Kind::SodaAccessKey => Capabilities {
                rereadable: true,
                making: Making::Additive,
                deletion: Deletion::ByName,
                expiry: Expiry::Never,
            },
            // What the system itself makes has no name of its own, and its delete takes all keys of the user.
            Kind::SodaIssuedAccessKey => Capabilities {
                rereadable: true,
                making: Making::Additive,
                deletion: Deletion::Never,
                expiry: Expiry::Never,
            },
            // The same, where a request and a grant ask for that.
            Kind::SodaEndingAccessKey => Capabilities {
                rereadable: true,
                making: Making::Additive,
                deletion: Deletion::WithAllOthers,
                expiry: Expiry::Never,
            },
            Kind::SodaAdoptedAccessKey => Capabilities {
                rereadable: true,
                making: Making::AdditiveElsewhere,
                deletion: Deletion::Never,
                expiry: Expiry::Never,
            },
            Kind::CloudMcServiceKeys => Capabilities {
                rereadable: true,
                making: Making::KillsTheOldElsewhere,
                deletion: Deletion::Never,
                expiry: Expiry::Never,
            },
            Kind::CloudCenterApiKey => Capabilities {
                rereadable: true,
                making: Making::KillsTheOldOnRotation,
                deletion: Deletion::Never,
                expiry: Expiry::Never,
            },
        }
    }

    /// What the plan goes by.
    pub fn traits(self) -> Traits {
        self.capabilities().traits()
    }

    /// What becomes of one, for people.
    pub fn life(self) -> Life {
        match self {
            Kind::DceToken => Life {
                created: "A token of the user whose AK/SK pair is the login, for `cycle` days, or for less, as DCE grants.",
                proven: "`GET current-user` with the token names its user. Where DCE has no such call, it is published unproven \
                         (`SyncedUnverified`).",
                rotation: "A new token is published. The old one works until it expires.",
                deletion: "The request goes at once, and the Secret with it. The token works until it expires.",
            },
            Kind::DceAccessKey => Life {
                created: "An access key of the login's user, under a name that follows from the request's UID and the serial; with \
                          an expiry where the request has a `lifetime`.",
                proven: "`GET current-user` with the key names its user. Where DCE has no such call, no key is made \
                         (`NotOffered`).",
                rotation: "A new key is made and published. The old one is deleted after the overlap, by its name.",
                deletion: "The request waits until each key by its names is deleted and the list shows none. Then the Secret goes.",
            },
            Kind::KeystoneAccessKey => Life {
                created: "A pair of the type `ec2` in a project, of the login's user or of the one whom the request names. Its \
                          access key follows from the request's UID and the serial; the secret key is random.",
                proven: "It is read back and compared; and a signature made with it is checked, where Keystone lets the login have \
                         that done. Where it may not be read back, it is published unproven (`SyncedUnverified`).",
                rotation: "A new pair is made and published. The old one is deleted after the overlap.",
                deletion: "The request waits until each pair by its names is deleted and Keystone knows none. Then the Secret goes.",
            },
            Kind::KeystoneApplicationCredential => Life {
                created: "An application credential of the login's user in a project, under a name that follows from the request's \
                          UID and the serial; with an expiry where the request says so. And the access rules that it names and \
                          that are new.",
                proven: "A login with it, as the right user and for the right project.",
                rotation: "A new one is made and published. The old one is deleted after the overlap, or expires before.",
                deletion: "The request waits until each one by its names is deleted and the list shows none. Then the Secret goes. \
                           Access rules stay.",
            },
            Kind::KeystoneToken => Life {
                created: "A token of the login's user for a project, by a login of its own. It lives as long as Keystone says.",
                proven: "Keystone is asked about it: it has to be the right user's, and for the right project.",
                rotation: "A new token is published. The old one works until it expires.",
                deletion: "The request goes at once, and the Secret with it. The token is revoked if the Secret can still be read \
                           by then; else it works until it expires.",
            },
            Kind::CloudMcServiceKeys => Life {
                created: "Nothing. The keys are read that CloudMC keeps for the login's user in an environment.",
                proven: "They are read once more and compared; the service that they open is not called.",
                rotation: "They are read anew. Others come only when somebody has them regenerated at CloudMC, which kills the old \
                           ones at once.",
                deletion: "The request goes at once, and the Secret with it. The keys live on.",
            },
            Kind::CloudCenterApiKey => Life {
                created: "Nothing. The key is read that a user has at CloudCenter. With `onRotate: Regenerate`, and a grant for it: a \
                          new key in its place, once for each new value of the annotation `rotate`.",
                proven: "It is read once more and compared. The login's own key has to be the one that the login uses.",
                rotation: "It is read anew. Another one comes when somebody has it made at CloudCenter, or by the annotation with \
                           `onRotate: Regenerate`; either kills the old one at once, for everybody who has it.",
                deletion: "The request goes at once, and the Secret with it. The key lives on.",
            },
            Kind::SodaAccessKey => Life {
                created: "A pair of the type `ec2` in a project, of the login's user, made at SODA's Keystone. Its access key follows \
                          from the request's UID and the serial; the secret key is random.",
                proven: "SODA shows it, for the right user and project. Where it does not, Keystone is asked, and Keystone alone can \
                         say that it is gone. SODA's S3 is not called; each access key has the form that it accepts.",
                rotation: "A new pair is made at Keystone and published. The old one is deleted there after the overlap.",
                deletion: "The request waits until each pair by its names is deleted at Keystone, which knows none any more. Then the \
                           Secret goes. SODA's own delete is never called.",
            },
            Kind::SodaIssuedAccessKey => Life {
                created: "A pair by SODA's own `POST`, where the login's user has none for the project; all requests of the project \
                          share it. Sometimes SODA makes two.",
                proven: "As with `soda.accessKey`.",
                rotation: "The same one is found again.",
                deletion: "The request goes at once, and the Secret with it. The pair lives on.",
            },
            Kind::SodaEndingAccessKey => Life {
                created: "As with `soda.accessKey.issueThrough`.",
                proven: "As with `soda.accessKey`.",
                rotation: "The same one is found again; nothing is deleted.",
                deletion: "The request says which credentials of the login's user go, all of them, and waits for ten seconds at \
                           least. Then SODA is told to delete them, and Keystone is asked whether the pair is gone. Then the \
                           Secret goes.",
            },
            Kind::SodaAdoptedAccessKey => Life {
                created: "Nothing. A pair is shared that the login's user has for the project already.",
                proven: "As with `soda.accessKey`.",
                rotation: "The same one is found again, or what took its place.",
                deletion: "The request goes at once, and the Secret with it. The pair lives on.",
            },
        }
    }

    /// The folder of its system, below `src/providers/`.
    pub fn folder(self) -> String {
        let system = self.name().split('.').next().unwrap_or_default();
        system.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made and stays, which a grant has to allow in so many words.
    const STAYS: [Kind; 1] = [Kind::SodaIssuedAccessKey];

    #[test]
    fn what_the_operator_makes_it_can_delete_or_it_ends_by_itself() {
        for kind in Kind::ALL.iter().filter(|kind| !STAYS.contains(kind)) {
            let can = kind.capabilities();
            let made = can.making == Making::Additive;
            let ends = kind.traits().revocable || can.expiry == Expiry::Always;
            assert!(!made || ends, "{}: {can:?}", kind.name());
        }
    }

    #[test]
    fn what_is_not_made_can_be_read() {
        for kind in Kind::ALL {
            let can = kind.capabilities();
            let made = can.making == Making::Additive;
            assert!(made || can.rereadable, "{}: {can:?}", kind.name());
            assert_eq!(made, !kind.traits().fetched, "{}: {can:?}", kind.name());
        }
    }
}
