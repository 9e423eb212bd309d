//! The orders that this simulator takes over HTTP below `/_sim/`, for shell scripts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::protocol::Dce;
use crate::server::{SimRequest, SimResponse, json as json_answer, text};

/// Answers one order:
///
/// - `GET /_sim/ledger`: counts
/// - `GET /_sim/access-keys`: id, name and owner of each that was ever made, and whether it works; not the keys
///   themselves
/// - `POST /_sim/accepts` with a token as body: 200 when it is live, 410 when not
/// - `POST /_sim/revoke` with a token as body; `POST /_sim/revoke-all`
/// - `POST /_sim/change-pair?user=NAME`: a new pair, the old ones are refused from then on
/// - `POST /_sim/grant-at-most?seconds=N`; without `seconds` there is no limit
pub(super) fn answer(dce: &Dce, request: &SimRequest) -> Option<SimResponse> {
    let name = request.path.rsplit('/').next()?;
    Some(match (request.method.as_str(), name) {
        ("GET", "ledger") => json_answer(
            StatusCode::OK,
            &json!({
                "issued": dce.ledger.issued_count(),
                "live": dce.ledger.live_count(),
                "tokenRequests": dce.token_requests.load(Ordering::Relaxed),
                "loginsRefused": dce.logins_refused.load(Ordering::Relaxed),
            }),
        ),
        ("GET", "access-keys") => {
            let keys = dce.keyring.all(&dce.ledger).into_iter();
            let keys = keys.map(|key| {
                json!({
                    "id": key.id,
                    "name": key.name,
                    "user": key.username,
                    "deleted": key.deleted,
                    "live": key.live,
                })
            });
            json_answer(StatusCode::OK, &keys.collect())
        }
        ("POST", "accepts") => {
            let live = dce.ledger.is_live(&request.text());
            let status = if live {
                StatusCode::OK
            } else {
                StatusCode::GONE
            };
            json_answer(status, &json!({"accepted": live}))
        }
        ("POST", "revoke") => {
            dce.ledger.revoke(&request.text());
            done()
        }
        ("POST", "revoke-all") => {
            dce.ledger.revoke_all();
            done()
        }
        ("POST", "change-pair") => {
            let Some(user) = request.query_param("user") else {
                return Some(text(StatusCode::BAD_REQUEST, "?user= is missing"));
            };
            dce.users.disable_pairs_of(&user);
            let (ak, sk) = dce.users.add_pair(&user);
            json_answer(StatusCode::OK, &json!({"ak": ak, "sk": sk}))
        }
        ("POST", "grant-at-most") => {
            let seconds = request.query_param("seconds").map(|s| s.parse());
            let Ok(seconds) = seconds.transpose() else {
                return Some(text(StatusCode::BAD_REQUEST, "seconds is no number"));
            };
            dce.settings.lock().unwrap().at_most = seconds.map(Duration::from_secs);
            done()
        }
        _ => return None,
    })
}

fn done() -> SimResponse {
    json_answer(StatusCode::OK, &json!({}))
}
