//! What tests do with access keys, behind the back of whoever uses the simulator.

use std::time::Duration;

use super::keyring::{AccessKey, QuotaRefusal, Rules};
use super::mint::Mint;
use super::simulator::DceSimulator;
use super::times::{NeverForm, TimeForm};
use super::{Generation, now_ms};

impl DceSimulator {
    /// Gives a user (made when there is none of this name) one more access key, as the Personal Center would: it lives
    /// for this time, or for ever. No rule and no lie touches it.
    ///
    /// Panics when this ghippo is one that has no access keys: the caller is a test, and should hear of it.
    pub fn add_access_key(&self, username: &str, name: &str, lives: Option<Duration>) -> AccessKey {
        let dce = &self.dce;
        let has_keys = dce.generation == Generation::From014;
        assert!(has_keys, "{:?} has no access keys", dce.generation);
        let user = dce.users.ensure(username);
        let mint = Mint {
            signer: &dce.signer,
            ledger: &dce.ledger,
            users: &dce.users,
            at_most: None,
            lie: None,
        };
        let expires_ms = lives.map(|lives| {
            let lives = i64::try_from(lives.as_millis()).unwrap_or(i64::MAX);
            now_ms().saturating_add(lives)
        });
        let made = dce
            .keyring
            .add(&user, name, expires_ms, Rules::default(), || {
                mint.key(&user, expires_ms)
            });
        let Ok((id, _)) = made else {
            unreachable!("there are no rules")
        };
        self.access_key(&id).expect("the key that was just made")
    }

    /// Every access key that was ever made, in that order.
    pub fn access_keys(&self) -> Vec<AccessKey> {
        self.dce.keyring.all(&self.dce.ledger)
    }

    /// The access keys that work now.
    pub fn live_access_keys(&self) -> Vec<AccessKey> {
        let keys = self.access_keys().into_iter();
        keys.filter(|key| key.live).collect()
    }

    /// The access key of this id, if there was ever one.
    pub fn access_key(&self, id: &str) -> Option<AccessKey> {
        self.access_keys().into_iter().find(|key| key.id == id)
    }

    /// Deletes an access key; `false` when there is none of this id.
    pub fn delete_access_key(&self, id: &str) -> bool {
        let owner = self.dce.keyring.owner_of(id);
        owner.is_some_and(|owner| self.dce.keyring.delete(owner, id, &self.dce.ledger))
    }

    /// Makes an access key expire now; `false` when there is none of this id. It stays in the list, with this moment.
    /// Its token says what it always said.
    pub fn expire_access_key(&self, id: &str) -> bool {
        self.dce.keyring.expire(id, &self.dce.ledger)
    }

    /// How many access keys each user may have, expired ones too; `None` is no limit. One that is lower than what is
    /// there stops only new ones.
    pub fn limit_access_keys(&self, limit: Option<usize>) {
        self.dce.settings.lock().unwrap().key_rules.limit = limit;
    }

    /// In which form one access key too many is refused.
    pub fn refuse_quota_with(&self, refusal: QuotaRefusal) {
        self.dce.settings.lock().unwrap().quota_refusal = refusal;
    }

    /// Whether a user may not have two access keys of the same name: then the second is refused with 409. The sources
    /// do not say it, so by default several may have the same.
    pub fn refuse_duplicate_names(&self, refuse: bool) {
        self.dce.settings.lock().unwrap().key_rules.unique_names = refuse;
    }

    /// How moments are written in lists of access keys.
    pub fn write_times(&self, form: TimeForm) {
        self.dce.settings.lock().unwrap().times = form;
    }

    /// How lists of access keys say "never".
    pub fn write_never(&self, form: NeverForm) {
        self.dce.settings.lock().unwrap().never = form;
    }
}
