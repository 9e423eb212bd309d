//! Who makes a request: HTTP Basic, with a key or with a password.

use super::answer::{Refusal, unauthorized};
use super::state::{State, User};
use crate::server::SimRequest;

/// Says that the password of the request is a key.
pub(super) const MARK: &str = "x-cliqr-api-key-auth";

pub(super) fn is_marked(request: &SimRequest) -> bool {
    request.header(MARK).eq_ignore_ascii_case("true")
}

impl State {
    /// The id of the user who makes the request, or a 401. The login is counted.
    ///
    /// A user name with a comma is `e-mail,tenant` and goes with the password of the user interface, also where the
    /// header says that it is a key: clients send both. Any other goes with a key.
    pub(super) fn log_in(&mut self, request: &SimRequest) -> Result<String, Refusal> {
        let marked = is_marked(request);
        let counts = &mut self.ledger.counts;
        counts.marked += u64::from(marked);
        let (name, password) = request.basic().unwrap_or_default();
        let by_password = name.contains(',');
        let found = match name.rsplit_once(',') {
            Some((email, tenant)) => self.users.iter().find(|user| {
                user.email == email && user.tenant == tenant && user.password == password
            }),
            None if marked || !self.settings.mark_required => {
                self.users.iter().find(|user| user.username == name)
            }
            None => None,
        };
        let found: Option<&User> = found.filter(|user| user.enabled);
        let id = found.map(|user| user.id.clone());
        let opened = match by_password {
            true => found.is_some(),
            false => {
                let key = found.and_then(|_| self.ledger.live_mut(&name));
                let key = key.filter(|key| key.key == password && !password.is_empty());
                key.map(|key| key.uses += 1).is_some()
            }
        };
        let counts = &mut self.ledger.counts;
        match id {
            Some(id) if opened => {
                match by_password {
                    true => counts.logins_by_password += 1,
                    false => counts.logins_by_key += 1,
                }
                Ok(id)
            }
            _ => {
                counts.logins_refused += 1;
                Err(unauthorized(self.settings.refusals))
            }
        }
    }
}
