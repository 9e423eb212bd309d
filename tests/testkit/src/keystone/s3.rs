//! `POST /v3/s3tokens`: whether a signature was made with a key pair that works. S3 services ask this.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use jiff::Timestamp;
use serde_json::Value;

use super::answer::{
    Answer, Refusal, bad_request, forbidden, not_found, not_simulated, ok, unauthorized,
};
use super::call::Call;
use super::state::{State, id_of};
use super::tokens::{Draft, Invalid, Token};
use crate::sigv4::signature;

/// For services and admins.
pub(super) fn check(call: &mut Call<'_>) -> Answer {
    if !call.caller()?.is_service_or_admin() {
        return Err(forbidden("identity:s3tokens_validate"));
    }
    if call.body.as_object().is_none_or(|body| body.is_empty()) {
        return Err(bad_request("request must include a request body"));
    }
    let said = &call.body["credentials"];
    let Some(access) = said["access"].as_str() else {
        return Err(unauthorized());
    };
    let row = call.state.credentials.get(&id_of(access));
    let Some(row) = row.filter(|row| row.is_ec2()) else {
        return Err(not_found("EC2 access key not found."));
    };
    let Some(secret) = row.in_blob("secret") else {
        return Err(bad_request(
            "can only concatenate str (not \"NoneType\") to str",
        ));
    };
    check_signature(said, &secret)?;
    let project = row.project.clone().unwrap_or_else(|| "None".to_owned());
    let token = session_of(call.state, &row.user, project, call.now)?;
    ok(&call.state.describe(&token, &call.base, true))
}

/// The token that a pair is worth. It is described to the caller, but nobody gets it.
fn session_of(
    state: &State,
    user: &str,
    project: String,
    now: Timestamp,
) -> Result<Token, Refusal> {
    match state.projects.get(&project) {
        Some(known) if known.enabled => {}
        Some(_) => return Err(unauthorized()),
        None => return Err(not_found(format!("Could not find project: {project}."))),
    }
    match state.users.get(user) {
        Some(known) if known.enabled => {}
        Some(_) => return Err(unauthorized()),
        None => return Err(not_found(format!("Could not find user: {user}."))),
    }
    let draft = Draft {
        user: user.to_owned(),
        project: Some(project),
        application_credential: None,
        methods: vec!["ec2credential"],
        root: None,
        expires: None,
    };
    state.mint(draft, now).map_err(|invalid| match invalid {
        Invalid::Token(_) => unauthorized(),
        Invalid::Dead(words) => not_found(words),
    })
}

impl State {
    /// Whether requests that are signed with this pair are accepted now.
    pub(super) fn pair_works(&self, access: &str, secret: &str) -> bool {
        let row = self.credentials.get(&id_of(access));
        row.is_some_and(|row| {
            let project = row.project.clone().unwrap_or_default();
            row.is_ec2()
                && row.in_blob("secret").as_deref() == Some(secret)
                && session_of(self, &row.user, project, Timestamp::now()).is_ok()
        })
    }
}

/// Signature version 4: the text that was signed comes along in base64.
fn check_signature(said: &Value, secret: &str) -> Result<(), Refusal> {
    let signed = URL_SAFE.decode(said["token"].as_str().unwrap_or_default());
    let signed = signed.map_err(|_| unauthorized())?;
    if !signed.starts_with(b"AWS4") {
        return Err(not_simulated("signatures of version 2"));
    }
    let signed = String::from_utf8(signed).map_err(|_| unauthorized())?;
    let lines: Vec<&str> = signed.split('\n').collect();
    let ["AWS4-HMAC-SHA256", _, scope, _] = lines[..] else {
        return Err(unauthorized());
    };
    let parts: Vec<&str> = scope.split('/').collect();
    let [_, _, "s3" | "iam" | "sts", "aws4_request"] = parts[..] else {
        return Err(unauthorized());
    };
    let signature = signature(secret, &parts, &signed);
    match said["signature"].as_str() == Some(&signature) {
        true => Ok(()),
        false => Err(unauthorized()),
    }
}
