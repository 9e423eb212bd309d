//! The words for a read or a write that the API server refused.
//!
//! An admission webhook may repeat the object that it refuses, and a policy's message may be made
//! from the object's values. So the words name the webhook, policy, binding or quota, and quote
//! nothing that one of them said. The names stand in the API server's own part of the message.

use kube::core::Status;

use crate::{api::Reason, plan::Failure, providers::http::failed};

/// The longest name in Kubernetes.
const LONGEST_NAME: usize = 253;
/// At most so much of the API server's own words is quoted, in characters.
const LONGEST_QUOTE: usize = 300;
/// The command that lists whatever may change an object while it is written.
pub(super) const MUTATORS: &str =
    "kubectl get mutatingwebhookconfigurations,mutatingadmissionpolicies";

/// The reasons that the API server itself gives. A webhook may put any text in that place.
const REASONS: &[&str] = &[
    "AlreadyExists",
    "BadRequest",
    "Conflict",
    "Expired",
    "Forbidden",
    "Gone",
    "InternalError",
    "Invalid",
    "MethodNotAllowed",
    "NotAcceptable",
    "NotFound",
    "RequestEntityTooLarge",
    "ServerTimeout",
    "ServiceUnavailable",
    "Timeout",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
];

/// The parts of a message that tell who refused.
#[derive(Debug, PartialEq, Eq)]
enum Refuser<'a> {
    /// A webhook said no.
    Webhook(&'a str),
    /// A webhook did not answer, or not in a way that the API server understands.
    SilentWebhook(&'a str),
    /// A webhook does not say whether it can be asked in a dry run.
    NoDryRun(&'a str),
    /// An admission policy, and the binding that applied it.
    Policy(&'a str, Option<&'a str>),
    /// A quota is used up.
    Quota(&'a str),
}

/// The failure for a refused read or write of an object. `object` names the object, `verb` the
/// attempt. `hides` says whether a text holds a value that must not be shown.
pub(super) fn failure(
    reason: Reason,
    verb: &str,
    object: &str,
    error: &kube::Error,
    hides: impl Fn(&str) -> bool,
) -> Failure {
    let words = match error {
        kube::Error::Api(_) if lacks_delete(error) => format!(
            "the API server refused to {verb} {object}: its admission plug-in OwnerReferencesPermissionEnforcement lets \
             the operator change owners only where the operator may delete; install the overlay deploy/overlays/openshift"
        ),
        kube::Error::Api(status) => {
            let cause = cause(status, hides);
            format!("the API server refused to {verb} {object}: {cause}")
        }
        kube::Error::SerdeError(_) => {
            format!("the API server's answer to the attempt to {verb} {object} cannot be read")
        }
        _ => format!("the API server did not answer the attempt to {verb} {object}"),
    };
    failed(reason, words)
}

/// The answer to a write of the finalizer, in a few words.
pub(super) fn answer(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => cause(status, |_| false),
        _ => "no answer".to_owned(),
    }
}

/// Whether an admission webhook or policy refused, whatever the code and the reason say.
pub(super) fn is_by_admission(status: &Status) -> bool {
    matches!(
        refuser(&status.message),
        Some(Refuser::Webhook(_) | Refuser::SilentWebhook(_) | Refuser::Policy(..))
    )
}

/// Whether the API server cannot say what a write would do, because a webhook takes no dry runs.
pub(super) fn lacks_dry_run(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if matches!(refuser(&status.message), Some(Refuser::NoDryRun(_))))
}

/// Whether the API server refused an owner reference because the operator may not delete the
/// object: its admission plug-in `OwnerReferencesPermissionEnforcement` asks for that right.
pub(super) fn lacks_delete(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if status.code == 403
            && !is_by_admission(status)
            && status.message.contains("cannot set an ownerRef on a resource you can't delete"))
}

fn cause(status: &Status, hides: impl Fn(&str) -> bool) -> String {
    let code = code(status);
    match refuser(&status.message) {
        Some(Refuser::Webhook(name)) => format!("admission webhook {name} denied it ({code})"),
        Some(Refuser::SilentWebhook(name)) => {
            format!("admission webhook {name} could not be called ({code})")
        }
        Some(Refuser::NoDryRun(name)) => {
            format!("admission webhook {name} does not support dry run ({code})")
        }
        Some(Refuser::Policy(name, Some(binding))) => {
            format!("admission policy {name} with binding {binding} denied it ({code})")
        }
        Some(Refuser::Policy(name, None)) => format!("admission policy {name} denied it ({code})"),
        Some(Refuser::Quota(name)) => format!("quota {name} is exceeded ({code})"),
        None => match quote(status, hides) {
            Some(words) => format!("{code}: {words}"),
            None => code,
        },
    }
}

fn code(status: &Status) -> String {
    match REASONS.iter().find(|reason| **reason == status.reason) {
        Some(reason) => format!("{} {reason}", status.code),
        None => status.code.to_string(),
    }
}

/// The API server's own words, for the codes with which it explains what is wrong. Behind other
/// codes stands the text of a gateway or a storage.
fn quote(status: &Status, hides: impl Fn(&str) -> bool) -> Option<String> {
    let words = &status.message;
    let may = matches!(status.code, 400 | 403 | 413 | 422)
        && !words.contains("webhook")
        && !words.contains("denied request")
        && !hides(words);
    let words: String = words
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_QUOTE)
        .collect();
    (may && !words.is_empty()).then_some(words)
}

/// Who refused, by the API server's own patterns. Where a webhook's or a policy's own text follows,
/// the name stands before that text, so the first match is the API server's.
fn refuser(message: &str) -> Option<Refuser<'_>> {
    // In the order in which they stand in a message that holds several.
    let webhook = between(message, "admission webhook \"", "\"");
    let silent = between(message, "failed calling webhook \"", "\"");
    let policy = policy(message);
    let quota = between(message, "exceeded quota: ", ",");
    let found = [
        webhook.map(|(at, name, rest)| {
            let refuser = if rest.starts_with(" does not support dry run") {
                Refuser::NoDryRun(name)
            } else {
                Refuser::Webhook(name)
            };
            (at, refuser)
        }),
        silent.map(|(at, name, _)| (at, Refuser::SilentWebhook(name))),
        policy,
        quota.map(|(at, name, _)| (at, Refuser::Quota(name))),
    ];
    let first = found.into_iter().flatten().min_by_key(|(at, _)| *at);
    first.map(|(_, refuser)| refuser)
}

/// Both kinds of policies: `ValidatingAdmissionPolicy 'N' with binding 'B'` and
/// `policy 'N' with binding 'B'`.
fn policy(message: &str) -> Option<(usize, Refuser<'_>)> {
    let (at, name, rest) = ["ValidatingAdmissionPolicy '", "policy '"]
        .into_iter()
        .find_map(|pattern| between(message, pattern, "'"))?;
    let binding = rest
        .strip_prefix(" with binding '")
        .and_then(|rest| rest.split_once('\''))
        .map(|(binding, _)| binding)
        .filter(|binding| is_name(binding));
    let denied = rest.contains("denied request");
    denied.then_some((at, Refuser::Policy(name, binding)))
}

/// A name between two patterns: where the first pattern stands, the name, and the text after it.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<(usize, &'a str, &'a str)> {
    let at = text.find(before)?;
    let rest = text.get(at + before.len()..)?;
    let (name, rest) = rest.split_once(after)?;
    is_name(name).then_some((at, name, rest))
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> Status {
        let mut status = Status::failure(message, reason);
        status.code = code;
        status
    }

    #[test]
    fn the_words_name_who_refused_and_quote_nothing_that_a_webhook_or_policy_said() {
        for (code, reason, message, expected) in [
            (
                403,
                "Forbidden",
                r#"admission webhook "deny.example.com" denied the request: s3cr3t"#,
                "admission webhook deny.example.com denied it (403 Forbidden)",
            ),
            (
                409,
                "s3cr3t",
                r#"admission webhook "deny.example.com" denied the request: exceeded quota: s3cr3t,"#,
                "admission webhook deny.example.com denied it (409)",
            ),
            (
                400,
                "",
                r#"admission webhook "deny.example.com" denied the request without explanation"#,
                "admission webhook deny.example.com denied it (400)",
            ),
            (
                500,
                "InternalError",
                r#"Internal error occurred: failed calling webhook "x.y": failed to call webhook: Post "https://u:s3cr3t@h/"#,
                "admission webhook x.y could not be called (500 InternalError)",
            ),
            (
                422,
                "Invalid",
                "secrets \"s\" is forbidden: ValidatingAdmissionPolicy 'no-keys' with binding 'all' denied request: s3cr3t",
                "admission policy no-keys with binding all denied it (422 Invalid)",
            ),
            (
                403,
                "Forbidden",
                "policy 'adds' with binding 'all' denied request: s3cr3t",
                "admission policy adds with binding all denied it (403 Forbidden)",
            ),
            (
                403,
                "Forbidden",
                r#"secrets "s" is forbidden: exceeded quota: few, requested: secrets=1, used: secrets=1, limited: secrets=1"#,
                "quota few is exceeded (403 Forbidden)",
            ),
            (
                403,
                "Forbidden",
                r#"secrets is forbidden: User "op" cannot create resource "secrets""#,
                r#"403 Forbidden: secrets is forbidden: User "op" cannot create resource "secrets""#,
            ),
            (
                422,
                "Invalid",
                "Secret \"s\" is invalid: data: Too long",
                "422 Invalid: Secret \"s\" is invalid: data: Too long",
            ),
            (500, "InternalError", "s3cr3t", "500 InternalError"),
            (503, "s3cr3t", "s3cr3t", "503"),
            (429, "TooManyRequests", "s3cr3t", "429 TooManyRequests"),
            (422, "Invalid", "a value s3cr3t in it", "422 Invalid"),
            (
                403,
                "Forbidden",
                "admission webhook \"s3cr3t \u{1b}\" denied the request: x",
                "403 Forbidden",
            ),
        ] {
            let found = cause(&status(code, reason, message), |text| {
                text.contains("s3cr3t")
            });
            assert_eq!(found, expected, "{message}");
            assert!(!found.contains("s3cr3t"), "{message}");
        }
    }

    #[test]
    fn a_refusal_by_admission_is_known_whatever_its_code() {
        let webhook = r#"admission webhook "x" denied the request: no"#;
        assert!(is_by_admission(&status(409, "Conflict", webhook)));
        let exists = r#"secrets "s" already exists"#;
        assert!(!is_by_admission(&status(409, "AlreadyExists", exists)));
    }

    #[test]
    fn the_plug_in_for_owner_references_is_known_by_its_words() {
        let words = r#"secrets "s" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>"#;
        let error = kube::Error::Api(Box::new(status(403, "Forbidden", words)));
        assert!(lacks_delete(&error));
        let by_webhook = format!(r#"admission webhook "x" denied the request: {words}"#);
        let error = kube::Error::Api(Box::new(status(403, "Forbidden", &by_webhook)));
        assert!(!lacks_delete(&error));
    }
}
