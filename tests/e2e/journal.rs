//! What the wires tell about Secrets and credentials: all that happened, where a look at the live
//! objects sees what is left of it.

use std::time::Instant;

use testkit::wire::{Call, CallHead, Mark, WireProxy};

use crate::stage::{Stage, is_about_secret};

/// A write of a Secret that the API server has accepted.
#[derive(Clone, Debug)]
pub struct SecretWrite {
    /// The id of the credential that it puts into the Secret.
    pub id: String,
    /// Whether the Secret was created by it.
    pub creates: bool,
    /// From then on the Secret is what was written; none while the answer is on its way.
    pub finished: Option<Instant>,
}

impl SecretWrite {
    fn read(call: &Call) -> Result<Self, String> {
        let body = call.json().unwrap_or_default();
        let id = &body["metadata"]["annotations"]["credential-operator.dev/credential-id"];
        let id = id.as_str();
        Ok(Self {
            id: id
                .ok_or_else(|| format!("{} names no credential", call.label()))?
                .to_owned(),
            creates: call.method == "POST",
            finished: call.finished,
        })
    }
}

/// Something that a provider was told to revoke, whatever it answered.
#[derive(Debug)]
pub struct Revocation {
    /// Its id.
    pub id: String,
    /// From then on it may be of no use any more.
    pub started: Instant,
}

/// The writes of the Secret of this name that the API server has accepted, in their order.
///
/// # Errors
/// When one does not say what it publishes, or it is not known what became of one.
pub fn writes_of(stage: &Stage, name: &str) -> Result<Vec<SecretWrite>, String> {
    let calls = stage
        .wire
        .calls_where(|call| call.is_changing() && call.forwarded && is_about_secret(call, name));
    let mut writes = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        match call.status {
            Some(200 | 201) => writes.push(SecretWrite::read(call)?),
            Some(_) => {}
            // Whoever has made it was killed meanwhile. It has come about where nobody could create the
            // Secret after it.
            None if call.method == "POST" => {
                let created = |later: &Call| later.method == "POST" && later.status == Some(201);
                if !calls[at + 1..].iter().any(created) {
                    writes.push(SecretWrite::read(call)?);
                }
            }
            None => return Err(format!("nobody knows what came of {}", call.label())),
        }
    }
    Ok(writes)
}

/// What the provider behind a wire was told to revoke, in its order.
pub fn revocations(wire: &WireProxy) -> Vec<Revocation> {
    let calls = wire.calls_where(|call| call.forwarded);
    let revocations = calls.into_iter().filter_map(|call| {
        Some(Revocation {
            id: revoked_id(&call)?.to_owned(),
            started: call.started,
        })
    });
    revocations.collect()
}

/// Makes sure that since its creation the Secret was always there, and that it never held what the
/// provider behind a wire had been told to revoke.
///
/// # Errors
/// What was wrong.
pub fn was_always_good(stage: &Stage, wire: &WireProxy, name: &str) -> Result<(), String> {
    let deleted = stage.wire.calls_where(|call| {
        call.kubernetes()
            .is_some_and(|meant| meant.resource == "secrets" && meant.verb.starts_with("delete"))
    });
    match deleted.first() {
        Some(call) => Err(format!("{} {}", call.method, call.path)),
        None => always_good(&writes_of(stage, name)?, &revocations(wire)),
    }
}

/// How many credentials were alive at once since a mark, at the most, if none was before. At its worst:
/// each from when it was asked for, until the provider had answered that it was gone.
pub fn most_alive(wire: &WireProxy, mark: Mark) -> usize {
    let calls = wire.since(mark);
    let changes = calls.iter().filter_map(|call| match call.status {
        Some(200 | 201) if is_issue(call) => Some((call.started, true)),
        Some(200 | 204) if revoked_id(call).is_some() => Some((call.finished?, false)),
        _ => None,
    });
    most_at_once(changes.collect())
}

/// For a Secret that is there now: with one creation it was there since.
fn always_good(writes: &[SecretWrite], revocations: &[Revocation]) -> Result<(), String> {
    let created = writes.iter().filter(|write| write.creates).count();
    if created != 1 || !writes[0].creates {
        return Err(format!(
            "the Secret was created {created} times: {writes:?}"
        ));
    }
    for revocation in revocations {
        for (at, write) in writes.iter().enumerate() {
            // Only this is certain: the next one was published before the revocation was on its way.
            let next = writes.get(at + 1).and_then(|next| next.finished);
            let over = next.is_some_and(|next| next < revocation.started);
            if write.id == revocation.id && !over {
                return Err(format!(
                    "{} was revoked before or while the Secret held it",
                    write.id
                ));
            }
        }
    }
    Ok(())
}

/// Of beginnings and ends at the same time the beginnings count first.
fn most_at_once(mut changes: Vec<(Instant, bool)>) -> usize {
    changes.sort_by_key(|(at, begins)| (*at, !begins));
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in changes {
        now = if begins { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    most
}

/// Where things are made that have to be revoked: the end of the path to make one, and of the one below
/// which it has its own. Keystone's pairs and application credentials, and DCE's access keys.
const COLLECTIONS: [(&str, &str); 3] = [
    ("/credentials", "/credentials"),
    ("/application_credentials", "/application_credentials"),
    ("/accesstoken", "/accesstokens"),
];

/// Whether a call asks for something that has to be revoked.
pub fn is_issue(call: &CallHead) -> bool {
    let mut ends = COLLECTIONS.iter().map(|(end, _)| end);
    call.method == "POST" && ends.any(|end| call.path.ends_with(end))
}

/// What a call asks to revoke.
fn revoked_id(call: &CallHead) -> Option<&str> {
    let (collection, id) = call.path.rsplit_once('/')?;
    let mut ends = COLLECTIONS.iter().map(|(_, end)| end);
    (call.method == "DELETE" && ends.any(|end| collection.ends_with(end))).then_some(id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Moments in their order.
    fn moments<const N: usize>() -> [Instant; N] {
        let begin = credential_operator::clock::monotonic();
        std::array::from_fn(|at| begin + Duration::from_secs(u64::try_from(at).unwrap()))
    }

    fn write(id: &str, creates: bool, finished: Instant) -> SecretWrite {
        SecretWrite {
            id: id.to_owned(),
            creates,
            finished: Some(finished),
        }
    }

    fn revoked(id: &str, started: Instant) -> Revocation {
        Revocation {
            id: id.to_owned(),
            started,
        }
    }

    #[test]
    fn what_was_replaced_may_be_revoked_and_nothing_else() {
        let [before, first, between, second, after] = moments();
        let writes = [write("a", true, first), write("b", false, second)];
        for (id, at, good) in [
            ("a", after, true),
            ("a", between, false),
            ("a", before, false),
            ("b", after, false),
            ("b", between, false),
            ("c", between, true),
        ] {
            let verdict = always_good(&writes, &[revoked(id, at)]);
            assert_eq!(verdict.is_ok(), good, "{id}: {verdict:?}");
        }
    }

    #[test]
    fn as_long_as_a_write_is_on_its_way_nothing_has_been_replaced() {
        let [first, second, after] = moments();
        let mut writes = [write("a", true, first), write("b", false, second)];
        writes[1].finished = None;
        assert!(always_good(&writes, &[revoked("a", after)]).is_err());
    }

    #[test]
    fn what_comes_back_may_not_have_been_revoked() {
        let [first, second, third, fourth] = moments();
        let writes = [
            write("a", true, first),
            write("b", false, second),
            write("a", false, fourth),
        ];
        assert!(always_good(&writes, &[revoked("a", third)]).is_err());
        assert!(always_good(&writes, &[]).is_ok());
    }

    #[test]
    fn a_secret_that_was_created_twice_was_gone_in_between() {
        let [first, second] = moments();
        assert!(always_good(&[write("a", true, first), write("b", true, second)], &[]).is_err());
        assert!(always_good(&[write("a", false, first)], &[]).is_err());
        assert!(always_good(&[], &[]).is_err());
    }

    #[test]
    fn what_begins_when_something_ends_counts_beside_it() {
        let [first, second, third] = moments();
        let lives = |changes: &[(Instant, bool)]| most_at_once(changes.to_vec());
        assert_eq!(lives(&[(first, true), (third, false), (second, true)]), 2);
        assert_eq!(lives(&[(first, true), (second, false), (second, true)]), 2);
        assert_eq!(lives(&[(first, true), (second, false), (third, true)]), 1);
        assert_eq!(lives(&[]), 0);
    }
}
