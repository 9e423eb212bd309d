//! Pairs that are not the request's own: those that SODA makes, which have no name that could be derived,
//! and those that are there already. Both are looked for first, and neither is ever revoked.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{
    Ask, Client,
    answer::{self, Pair},
    doubt::MAY_APPEAR,
};
use crate::{
    api::Reason,
    clock,
    plan::{Credential, Failure},
    providers::{
        Identity, Issued, Permission,
        http::{Turns, failed},
        keystone::{identity::pair_id, names::Named, session::Session},
    },
};

/// The pairs of the login's user for a project that can be shared.
struct Shareable {
    pairs: Vec<Pair>,
    /// Pairs that cannot be used, each with the reason. None of them is published.
    unfit: Vec<(Pair, &'static str)>,
    /// The access keys of those that were made for requests, which do not count: they end with those.
    ours: Vec<String>,
    /// Whether it is certain that there are no others.
    is_certain: bool,
}

impl Client {
    /// The pair that SODA has made for the project. Only where there is none, and none may be about to appear,
    /// is it asked to make one: it may make two, or one that it does not tell of.
    ///
    /// # Errors
    /// Those of a login and of a call. After one to make a pair nothing is tried again for a while.
    pub(super) async fn issue_through_soda(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issued, Failure> {
        let (mut session, _) = self
            .keystone
            .permitted_pair(turns, &ask.pair, permission)
            .await?;
        let project = session.project.as_ref();
        let project = project.map_or("", |project| &project.id).to_owned();
        let mut doubt = self.doubt.lock().await;
        let mut found = self.shareable(turns, &mut session).await?;
        if let Some(place) = preferred(&found.pairs, identity) {
            doubt.settled(&project);
            let pair = found.pairs.swap_remove(place);
            return Ok(self.published(&session, identity, &pair, &found.pairs));
        }
        if let Some(unfit) = found.unfit.first() {
            // If SODA made this one, it would make more like it at each attempt.
            let way_out = "delete it at Keystone, or give the provider a user of its own";
            return Err(unusable(unfit, &ask.pair.project, way_out));
        }
        if !found.is_certain && identity.held.is_some() {
            return Err(answer::unavailable(
                "shows no pair, although the request has one: so it does when the pair is gone, and when its Keystone fails; \
                 Keystone does not let the login's credentials be listed, which would tell. Nothing is made as long as that \
                 lasts; if the pair is gone, delete the request and create it anew",
            ));
        }
        // Whoever asks, and were it anew: what may still appear is looked for, not asked for once more.
        if let Some((wait, why)) = doubt.wait(&project, found.is_certain, clock::monotonic()) {
            return Err(later(answer::unavailable(why), wait));
        }
        let pair = match self.make(turns, &mut session, &project).await {
            Ok(pair) => pair,
            Err(failure) => {
                doubt.failed(&project, clock::monotonic());
                // Should the request go before one is published, nobody looks for what may have been made.
                tracing::warn!(request = %identity.uid, %project, reason = %failure.reason, "whether SODA has made a pair is not known");
                return Err(later(failure, MAY_APPEAR));
            }
        };
        doubt.settled(&project);
        drop(doubt);
        // Without an answer to this there is nothing to tell; the pair works all the same.
        let all = self.shareable(turns, &mut session).await;
        let mut others = all.map_or_else(|_| Vec::new(), |all| all.pairs);
        others.retain(|other| other.access_key != pair.access_key);
        Ok(self.published(&session, identity, &pair, &others))
    }

    /// `POST /v1/{project}/aksks`. One generation wants the ids at the top, the documentation shows them
    /// in an envelope, and the other generation takes them from the token.
    async fn make(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        project: &str,
    ) -> Result<Pair, Failure> {
        let user = session.user.id.clone();
        let ids = json!({"user_id": user, "project_id": project});
        let body = json!({"user_id": user, "project_id": project, "credential": ids});
        let answer = self
            .ask(turns, session, Method::POST, None, Some(&body))
            .await?;
        match answer.status {
            StatusCode::OK => answer::made(&answer),
            // What one generation answers whatever has failed; the ids are Keystone's own.
            StatusCode::BAD_REQUEST => Err(answer::unavailable(
                "could not make a pair (HTTP 400, which it answers whatever the reason is)",
            )),
            _ => Err(answer::failure(&answer)),
        }
    }

    /// A pair that is there already: the one that the request names, or that its Secret holds, or the only
    /// one.
    ///
    /// # Errors
    /// `ScopeRefused` when there is none, or several; those of a login and of a call.
    pub(super) async fn adopt(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        access: Option<&str>,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issued, Failure> {
        let (mut session, _) = self
            .keystone
            .permitted_pair(turns, &ask.pair, permission)
            .await?;
        let found = self.shareable(turns, &mut session).await?;
        let pairs = &found.pairs;
        let place = match access {
            Some(access) => pairs.iter().position(|pair| pair.access_key == access),
            None => held(pairs, identity).or((pairs.len() == 1).then_some(0)),
        };
        if let Some(pair) = place.and_then(|place| pairs.get(place)) {
            return Ok(self.published(&session, identity, pair, &[]));
        }
        let unfit = match access {
            Some(access) => found
                .unfit
                .iter()
                .find(|(pair, _)| pair.access_key == access),
            None => found.unfit.first().filter(|_| pairs.is_empty()),
        };
        if let Some(unfit) = unfit {
            let way_out = match access {
                Some(_) => "name another one in spec.soda.accessKey.accessKeyID",
                None => "make another one for the project",
            };
            return Err(unusable(unfit, &ask.pair.project, way_out));
        }
        if !found.is_certain {
            return Err(answer::unavailable(
                "shows no pair that could be adopted, which it also does when its Keystone fails; and Keystone does not let \
                 the login's credentials be listed, which would tell",
            ));
        }
        let project = &ask.pair.project;
        let words = match (access, &pairs[..]) {
            (Some(access), _) if found.ours.iter().any(|ours| ours == access) => format!(
                "the pair with the access key {access} was made for a request, which revokes it when it rotates or goes: it \
                 cannot be adopted; name another one in spec.soda.accessKey.accessKeyID"
            ),
            (Some(access), _) => format!(
                "the login's user has no pair with the access key {access} for project {project}; correct \
                 spec.soda.accessKey.accessKeyID"
            ),
            (None, []) => format!(
                "the login's user has no pair for project {project} that could be adopted (those that are made for requests \
                 do not count); make one, or leave out spec.soda.accessKey.adopt in another request"
            ),
            (None, several) => format!(
                "which pair is meant is ambiguous: the login's user has {} for project {project} ({}); name one in \
                 spec.soda.accessKey.accessKeyID",
                several.len(),
                listed(several)
            ),
        };
        Err(failed(Reason::ScopeRefused, words))
    }

    /// What SODA shows and Keystone confirms, without what is made for requests, which is theirs alone.
    async fn shareable(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
    ) -> Result<Shareable, Failure> {
        let shown = self.read(turns, session).await?;
        let known = self.keystone.own_credentials(turns, session).await?;
        let project = session.project.as_ref();
        let project = project.map_or("", |project| &project.id);
        let is_shown_empty = shown.as_ref().is_none_or(Vec::is_empty);
        let shown = shown.into_iter().flatten();
        let mut pairs = Vec::new();
        let mut unfit = Vec::new();
        for row in shown.filter(|row| row.kind == "ec2" && row.project_id == project) {
            match row.blob.defect() {
                None => pairs.push(row.blob),
                Some(defect) => unfit.push((row.blob, defect)),
            }
        }
        pairs.sort_by(|a, b| a.access_key.cmp(&b.access_key));
        unfit.sort_by(|(a, _), (b, _)| a.access_key.cmp(&b.access_key));
        let Some(known) = known else {
            return Ok(Shareable {
                is_certain: !is_shown_empty,
                ours: Vec::new(),
                pairs,
                unfit,
            });
        };
        let of_project = known
            .iter()
            .filter(|held| held.project.as_deref() == Some(project));
        let (ours, others): (Vec<_>, Vec<_>) = of_project.partition(|held| held.is_ours);
        let counts: Vec<&str> = others
            .iter()
            .filter_map(|held| held.access.as_deref())
            .collect();
        pairs.retain(|pair| counts.contains(&pair.access_key.as_str()));
        unfit.retain(|(pair, _)| counts.contains(&pair.access_key.as_str()));
        if pairs.is_empty() && unfit.is_empty() && !counts.is_empty() {
            return Err(answer::at_odds(!is_shown_empty));
        }
        let ours = ours.into_iter();
        Ok(Shareable {
            pairs,
            unfit,
            ours: ours.filter_map(|held| held.access.clone()).collect(),
            is_certain: true,
        })
    }

    fn published(
        &self,
        session: &Session,
        identity: &Identity,
        pair: &Pair,
        others: &[Pair],
    ) -> Issued {
        let credential = Credential {
            serial: identity.serial,
            id: Some(pair_id(&pair.access_key)),
            owner: Some(session.user.id.clone()),
            issued_at: clock::now(),
            expires_at: None,
            asked: String::new(),
            rotation: None,
            leak: None,
        };
        let layout = &self.keystone.layout;
        let data = layout.pair(&pair.access_key, &pair.secret_key, &credential);
        let remark = (!others.is_empty()).then(|| {
            format!(
                "the pair {} is published, and the login's user has {} more for the same project ({}): SODA can make two at \
                 once, and one that it does not tell of. Who is sure that nobody uses them deletes them at Keystone \
                 (openstack ec2 credentials delete ACCESS)",
                short(pair),
                others.len(),
                listed(others)
            )
        });
        Issued {
            credential,
            data,
            remark,
        }
    }
}

/// The pair that the request's Secret holds, else the first by its access key: whoever looks finds the
/// same one.
fn preferred(pairs: &[Pair], identity: &Identity) -> Option<usize> {
    held(pairs, identity).or((!pairs.is_empty()).then_some(0))
}

fn held(pairs: &[Pair], identity: &Identity) -> Option<usize> {
    let held = identity.held.as_ref()?;
    let mut pairs = pairs.iter();
    pairs.position(|pair| pair_id(&pair.access_key) == *held)
}

/// Access keys are no secrets, and long.
fn short(pair: &Pair) -> String {
    let begin: String = pair.access_key.chars().take(6).collect();
    format!("{begin}…")
}

/// Says why a pair of the login's user is not published.
fn unusable((pair, defect): &(Pair, &str), project: &Named, way_out: &str) -> Failure {
    // Anybody may have chosen the access key.
    let begin: String = pair
        .access_key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(6)
        .collect();
    failed(
        Reason::ScopeRefused,
        format!(
            "the pair {begin}… of the login's user for project {project} cannot be used: {defect}; {way_out}"
        ),
    )
}

fn listed(pairs: &[Pair]) -> String {
    let some: Vec<_> = pairs.iter().take(8).map(short).collect();
    some.join(", ")
}

/// A failure after which this request waits for a while. Others, of other projects among them, do not.
fn later(failure: Failure, wait: Duration) -> Failure {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    Failure {
        rest: Some(wait),
        ..failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_still_appear_keeps_one_request_waiting_and_no_provider() {
        let unavailable = answer::unavailable("fails");
        let failure = later(unavailable, MAY_APPEAR);
        assert_eq!(failure.rest, Some(SignedDuration::from_secs(7)));
        assert_eq!(failure.retry_after, None, "nobody else waits");
        // What the server itself asks for holds for all.
        let asked = Failure {
            retry_after: Some(SignedDuration::from_secs(60)),
            ..answer::unavailable("fails")
        };
        let failure = later(asked, MAY_APPEAR);
        assert_eq!(failure.retry_after, Some(SignedDuration::from_secs(60)));
    }
}
