//! What stories of keys that are only read have in common.

use std::collections::BTreeMap;

use testkit::wire::{Call, Mark, summarize};

use super::*;
use crate::keystone::concerns_a_request;

impl Stage {
    /// What a Secret holds.
    pub async fn published(&self, name: &str) -> BTreeMap<String, String> {
        let secret = self.secret(name).await;
        let keys = secret.data.iter().flatten();
        keys.map(|(key, _)| (key.clone(), value(&secret, key)))
            .collect()
    }

    /// What was called at the API server since a mark that changes something.
    pub fn changes_since(&self, mark: Mark) -> BTreeMap<String, usize> {
        let calls: Vec<Call> = self.wire.since(mark);
        let changing = calls
            .into_iter()
            .filter(|call| call.is_changing() && concerns_a_request(call));
        summarize(&changing.collect::<Vec<_>>())
    }
}

/// Waits until so many more keys have been read than at some time, by what the provider counts.
pub async fn readings(made: impl Fn() -> u64, since: u64, more: u64) {
    eventually(Duration::from_secs(90), || async {
        let made = made() - since;
        ensure!(made >= more, "{made} readings");
        Ok(())
    })
    .await
    .unwrap();
}

/// The serial of what is published, beside which nothing is kept.
pub fn only_serial(request: &CredentialRequest) -> u64 {
    let credentials = &request.status.as_ref().unwrap().credentials;
    assert_eq!(
        credentials.len(),
        1,
        "nothing is kept that is not published"
    );
    credentials[0].serial
}
