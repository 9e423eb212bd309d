//! The server's own control requests below `/_sim/`, for shell scripts. They meet no faults and are not in the log.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::run::Shared;
use super::{Fault, Route, SimRequest, SimResponse, answer};

/// Below this path a server with [`super::ServerOptions::control`] takes orders.
pub(super) const PATH: &str = "/_sim/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    route: String,
    fault: Fault,
    times: Option<usize>,
}

/// Answers a control request:
///
/// - `PUT /_sim/faults` with `{"route": "GET */token", "fault": "hang"}`, optionally `"times": 3`
/// - `DELETE /_sim/faults` removes all faults
/// - `POST /_sim/down?seconds=5` closes every connection for so long; there is no way to end it early, because
///   the order to do so could not come in either
/// - `GET /_sim/calls?route=GET+*/token` tells how many calls there were, and how many at once
/// - everything else is the protocol's
pub(super) fn answer(shared: &Shared, request: &SimRequest) -> SimResponse {
    let name = &request.path[PATH.len()..];
    match (request.method.as_str(), name) {
        ("PUT", "faults") => match serde_json::from_slice::<Order>(&request.body) {
            Ok(order) => {
                let route = Route::from(order.route.as_str());
                match order.times {
                    Some(times) => shared.faults.push_n(route, order.fault, times),
                    None => shared.faults.set(route, order.fault),
                }
                done()
            }
            Err(error) => answer::text(StatusCode::BAD_REQUEST, error.to_string()),
        },
        ("DELETE", "faults") => {
            shared.faults.clear();
            done()
        }
        ("POST", "down") => {
            let seconds = request.query_param("seconds").and_then(|s| s.parse().ok());
            let Some(seconds) = seconds else {
                return answer::text(StatusCode::BAD_REQUEST, "?seconds= is missing");
            };
            let down = shared.down.clone();
            tokio::spawn(async move {
                down.send_replace(true);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                down.send_replace(false);
            });
            done()
        }
        ("GET", "calls") => {
            let route = request.query_param("route");
            let route = Route::from(route.as_deref().unwrap_or("*"));
            let count = shared.calls.matching(&route).len();
            let most = shared.calls.max_in_flight(&route);
            answer::json(
                StatusCode::OK,
                &json!({"count": count, "maxInFlight": most}),
            )
        }
        _ => shared
            .protocol
            .control(request)
            .unwrap_or_else(|| unknown(&request.method)),
    }
}

fn done() -> SimResponse {
    answer::json(StatusCode::OK, &json!({}))
}

fn unknown(method: &Method) -> SimResponse {
    answer::text(StatusCode::NOT_FOUND, format!("no such {method} control"))
}
