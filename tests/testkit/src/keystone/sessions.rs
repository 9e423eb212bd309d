//! Looking at tokens, and ending them.

use std::sync::Arc;

use http::{HeaderValue, Method};

use super::answer::{Answer, Refusal, forbidden, no_content, not_found, ok};
use super::call::Call;
use super::tokens::{Invalid, Token};

/// `GET` and `HEAD /v3/auth/tokens`.
pub(super) fn look(call: &mut Call<'_>) -> Answer {
    let caller = call.caller()?;
    let head = call.request.method == Method::HEAD;
    let allowed = match head {
        true => caller.is_admin(),
        false => caller.is_service_or_admin(),
    };
    let action = if head {
        "check_token"
    } else {
        "validate_token"
    };
    // Keystone's reading of a flag, which is not the one that its lists have.
    let even_expired = call.request.query_param("allow_expired");
    let even_expired =
        even_expired.is_some_and(|v| matches!(&*v, "1" | "t" | "true" | "on" | "y" | "yes"));
    let token = subject(call, allowed, action, even_expired)?;
    let catalog = call.request.query_param("nocatalog").is_none();
    let mut answer = ok(&call.state.describe(&token, &call.base, catalog))?;
    let text = HeaderValue::from_str(&token.id).unwrap();
    answer.headers_mut().insert("x-subject-token", text);
    Ok(answer)
}

/// `DELETE /v3/auth/tokens`. What was got with the token dies with it.
pub(super) fn end(call: &mut Call<'_>) -> Answer {
    let caller = call.caller()?;
    let token = subject(call, caller.is_admin(), "revoke_token", false)?;
    call.state.revoked.insert(token.audit.clone());
    no_content()
}

/// The token that the request is about: the caller's own, or anybody's when `allowed`.
fn subject(
    call: &Call<'_>,
    allowed: bool,
    action: &str,
    even_expired: bool,
) -> Result<Arc<Token>, Refusal> {
    let caller = call.caller()?;
    let refused = || forbidden(&format!("identity:{action}"));
    let text = call.request.headers.get("x-subject-token");
    let text = match text {
        Some(text) => text.to_str().unwrap_or_default(),
        None if allowed => "",
        None => return Err(refused()),
    };
    let token = call.state.validate(text, call.now, even_expired);
    let token = token.map_err(|invalid| match invalid {
        Invalid::Token(words) | Invalid::Dead(words) => not_found(words),
    })?;
    match allowed || caller.is(&token.user) {
        true => Ok(token),
        false => Err(refused()),
    }
}
