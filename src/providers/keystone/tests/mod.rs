//! What Keystone's answers mean, case by case, and what a grant makes of them. That the calls are
//! right is proven against a real Keystone, end to end.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

mod grants;

use super::{
    answer,
    config::{self, Ask, Method, What},
    login::{self, Login, Scope},
    names::{Domain, Named},
    permit::{self, Bearer},
    session::{self, Session},
};
use crate::{
    api::{
        ProviderSpec, Reason,
        keystone::{KeystoneGrant, KeystoneKind, NamePattern},
        provider::Grant,
        request::CredentialRequestSpec,
    },
    plan::Refusal,
    providers::{LoginValues, Permission, System, http::Answer},
};

const RECEIVED: &str = "2026-11-20T09:16:20Z";

fn received() -> Timestamp {
    RECEIVED.parse().unwrap()
}

/// The answer to a login, as Keystone 30 gave it.
fn token(change: impl FnOnce(&mut Value)) -> Answer {
    let mut body = json!({"token": {
        "methods": ["password"],
        "user": {
            "domain": {"id": "default", "name": "Default"}, "id": "0d87d5d224c244ae9acb80849329c716",
            "name": "bot", "password_expires_at": null,
        },
        "audit_ids": ["gkj09MxMSl29M55aReXGMg"],
        "expires_at": "2026-11-20T10:16:20.000000Z", "issued_at": "2026-11-20T09:16:20.000000Z",
        "project": {
            "domain": {"id": "default", "name": "Default"}, "id": "4c4f9239c9b342f39447371bf53c94b1",
            "name": "payments-prod",
        },
        "is_domain": false,
        "roles": [{"id": "1", "name": "member"}, {"id": "2", "name": "reader"}],
    }});
    change(&mut body["token"]);
    let headers = [
        ("content-type", "application/json"),
        ("x-subject-token", "gAAAAABrAA"),
    ];
    Answer::of(201, &headers, &body.to_string())
}

fn read(answer: &Answer) -> Result<Session, Reason> {
    Session::read(answer, &Scope::None, received()).map_err(|failure| failure.reason)
}

fn error(status: u16, message: &str) -> Answer {
    let body = json!({"error": {"code": status, "message": message, "title": "x"}});
    Answer::of(
        status,
        &[("content-type", "application/json")],
        &body.to_string(),
    )
}

#[test]
fn a_session_lives_as_long_as_keystone_says_by_our_own_clock() {
    let life = |answer: &Answer| {
        let session = read(answer).unwrap();
        session.expires_at.duration_since(received()).as_secs()
    };
    let times = |issued: &'static str, expires: &'static str| {
        token(move |token| {
            token["issued_at"] = json!(issued);
            token["expires_at"] = json!(expires);
        })
    };
    assert_eq!(life(&token(|_| {})), 3600);
    // Its clock is an hour ahead, then an hour behind.
    let ahead = times("2026-11-20T10:16:20.000000Z", "2026-11-20T11:16:20.000000Z");
    assert_eq!(life(&ahead), 3600);
    let behind = times("2026-11-20T08:46:20.000000Z", "2026-11-20T09:46:20.000000Z");
    assert_eq!(life(&behind), 1800);
    let over = times("2026-11-20T08:16:20.000000Z", "2026-11-20T09:16:20.000000Z");
    assert_eq!(read(&over).err(), Some(Reason::UnexpectedAnswer));

    let session = read(&token(|_| {})).unwrap();
    let at = |seconds| received() + SignedDuration::from_secs(seconds);
    assert!(session.is_living(at(0)) && session.is_living(at(3539)));
    assert!(
        !session.is_living(at(3540)),
        "shortly before its end it is replaced"
    );
}

#[test]
fn times_are_utc_with_and_without_saying_so() {
    let expected: Timestamp = "2026-11-20T10:51:26Z".parse().unwrap();
    for text in [
        "2026-11-20T10:51:26Z",
        "2026-11-20T10:51:26.000000Z",
        "2026-11-20T10:51:26.000000",
    ] {
        assert_eq!(session::time(text), Some(expected), "{text}");
    }
    assert_eq!(session::time("tomorrow"), None);
}

#[test]
fn what_is_no_token_is_no_session() {
    let without_header = Answer::of(201, &[], std::str::from_utf8(&token(|_| {}).body).unwrap());
    for (name, answer) in [
        ("no header", without_header),
        ("no user", token(|token| token["user"] = json!(null))),
        (
            "no expiry",
            token(|token| token["expires_at"] = json!("soon")),
        ),
        (
            "HTML",
            Answer::of(201, &[("x-subject-token", "t")], "<html>"),
        ),
        ("null", Answer::of(201, &[("x-subject-token", "t")], "null")),
        (
            "an id that leads elsewhere in a path",
            token(|token| token["user"]["id"] = json!("..")),
        ),
        (
            "an id of the length of a book",
            token(|token| token["project"]["id"] = json!("a".repeat(65))),
        ),
        (
            "a role of several lines",
            token(|token| token["roles"][0]["name"] = json!("member\nand more")),
        ),
    ] {
        assert_eq!(
            read(&answer).err(),
            Some(Reason::UnexpectedAnswer),
            "{name}"
        );
    }
    let read = read(&token(|_| {})).unwrap();
    assert_eq!(read.token.expose_secret(), "gAAAAABrAA");
    assert_eq!(read.roles, ["member", "reader"]);
    assert!(!read.delegated);
}

#[test]
fn the_order_of_roles_is_not_keystone_s_mood() {
    let other = token(|token| {
        token["roles"] = json!([{"id": "2", "name": "reader"}, {"id": "1", "name": "member"}]);
    });
    assert_eq!(read(&other).unwrap().roles, ["member", "reader"]);
    // Those of a directory may look like this.
    let from_directory = token(|token| token["user"]["id"] = json!("bot@corp.example.com"));
    assert!(read(&from_directory).is_ok());
}

#[test]
fn a_full_quota_is_no_want_of_rights() {
    let quota = error(
        403,
        "Unable to create additional credentials, maximum of 3 already exceeded for user.",
    );
    let refused = error(
        403,
        "You are not authorized to perform the requested action.",
    );
    for (answer, delegated, expected) in [
        (&quota, true, Reason::QuotaExceeded),
        (&refused, true, Reason::Forbidden),
        (&refused, false, Reason::Forbidden),
    ] {
        let failure = answer::refused(answer, delegated, "it needs more");
        assert_eq!(failure.reason, expected);
        let told = failure.message == "it needs more";
        assert_eq!(told, delegated && expected == Reason::Forbidden);
    }
}

fn password() -> Login {
    Login::Password {
        user: Named::Name("bot".into(), Domain::Name("Default".into())),
        password: SecretString::from("s3cret"),
    }
}

fn application_credential() -> Login {
    Login::ApplicationCredential {
        id: "1d810ae6".into(),
        secret: SecretString::from("s3cret"),
    }
}

#[test]
fn a_refused_login_says_what_it_can_be() {
    let plain = "The request you have made requires authentication.";
    let receipt = || {
        let body = error(401, plain).body;
        let headers = [("openstack-auth-receipt", "gAAAA")];
        Answer::of(401, &headers, std::str::from_utf8(&body).unwrap())
    };
    let html = |status| Answer::of(status, &[("content-type", "text/html")], "<html>no</html>");
    let cases = [
        (
            password(),
            error(401, plain),
            Reason::LoginRefused,
            "wrong, or the user or domain",
        ),
        (
            application_credential(),
            error(401, plain),
            Reason::LoginRefused,
            "has expired",
        ),
        (
            password(),
            error(
                401,
                "The password is expired and needs to be changed for user: 0d87d5.",
            ),
            Reason::LoginRefused,
            "the password of the login's user has expired",
        ),
        (password(), receipt(), Reason::LoginRefused, "MFA"),
        (
            application_credential(),
            error(404, "Could not find Application Credential: 1d810ae6."),
            Reason::LoginRefused,
            "no application credential with this id",
        ),
        (
            password(),
            html(401),
            Reason::LoginRefused,
            "something before Keystone",
        ),
        (
            password(),
            html(404),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            application_credential(),
            html(404),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            error(404, "Not Found"),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            html(300),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            html(200),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            error(400, "Expecting"),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            html(502),
            Reason::ProviderUnavailable,
            "has failed",
        ),
        (password(), html(429), Reason::RateLimited, "fewer calls"),
    ];
    for (login, answer, reason, words) in cases {
        let failure = login::refused(&login, &answer);
        assert_eq!(failure.reason, reason, "{words}");
        assert!(
            failure.message.contains(words),
            "{}: {words}",
            failure.message
        );
        assert!(
            !failure.message.contains("0d87d5"),
            "nothing of Keystone's text is shown"
        );
    }
}

#[test]
fn a_login_is_asked_for_as_keystone_wants_it() {
    let project = Scope::Project(Named::Name("prod".into(), Domain::Id("d1".into())));
    let body = password().body(&project);
    assert_eq!(
        body["auth"]["scope"],
        json!({"project": {"name": "prod", "domain": {"id": "d1"}}})
    );
    let user = &body["auth"]["identity"]["password"]["user"];
    assert_eq!(
        *user,
        json!({"name": "bot", "domain": {"name": "Default"}, "password": "s3cret"})
    );
    assert_eq!(password().body(&Scope::None)["auth"]["scope"], "unscoped");
    let body = application_credential().body(&project);
    assert!(
        body["auth"].get("scope").is_none(),
        "it has a scope of its own"
    );
    let sent = &body["auth"]["identity"]["application_credential"];
    assert_eq!(*sent, json!({"id": "1d810ae6", "secret": "s3cret"}));
}

#[test]
fn a_login_secret_holds_a_user_by_name_or_id() {
    let read = |pairs: &[(&str, &str)]| {
        let mut values = LoginValues::default();
        for (key, value) in pairs {
            values.insert((*key).to_owned(), SecretString::from(*value));
        }
        Login::read(Method::Password, &values)
    };
    let user = |pairs: &[(&str, &str)]| match read(pairs).unwrap_or_else(|_| panic!("{pairs:?}")) {
        Login::Password { user, .. } => user,
        Login::ApplicationCredential { .. } => panic!("{pairs:?}"),
    };
    let named = |domain| Named::Name("bot".into(), domain);
    let secret = ("password", "p");
    assert_eq!(
        user(&[("user-id", "0d87"), secret]),
        Named::Id("0d87".into())
    );
    assert_eq!(
        user(&[("username", "bot"), secret]),
        named(Domain::Name("Default".into()))
    );
    let by_name = [("username", "bot"), ("domain", "Staff"), secret];
    assert_eq!(user(&by_name), named(Domain::Name("Staff".into())));
    let by_id = [("username", "bot"), ("domain-id", "d1"), secret];
    assert_eq!(user(&by_id), named(Domain::Id("d1".into())));
    for (pairs, reason) in [
        (vec![secret], Reason::LoginKeyNotFound),
        (
            vec![("username", "bot"), ("user-id", "0d87"), secret],
            Reason::LoginInvalid,
        ),
        (
            vec![
                ("username", "bot"),
                ("domain", "a"),
                ("domain-id", "b"),
                secret,
            ],
            Reason::LoginInvalid,
        ),
        (vec![("user-id", "../users"), secret], Reason::LoginInvalid),
    ] {
        assert_eq!(
            read(&pairs).err().map(|refusal| refusal.reason),
            Some(reason),
            "{pairs:?}"
        );
    }
}

#[test]
fn failures_of_calls_have_their_reasons() {
    for (answer, expected) in [
        (
            error(
                403,
                "You are not authorized to perform the requested action.",
            ),
            Reason::Forbidden,
        ),
        (
            error(
                403,
                "Unable to create additional credentials, maximum of 3 already exceeded for user.",
            ),
            Reason::QuotaExceeded,
        ),
        (
            error(
                403,
                "Unable to create additional application credentials, maximum of 3 already exceeded for user.",
            ),
            Reason::QuotaExceeded,
        ),
        (Answer::of(502, &[], "<html>"), Reason::ProviderUnavailable),
        (Answer::of(500, &[], "<html>"), Reason::ProviderUnavailable),
        (Answer::of(504, &[], ""), Reason::Timeout),
        (
            Answer::of(302, &[("location", "https://evil.example.com")], ""),
            Reason::UnexpectedAnswer,
        ),
        (error(413, "too large"), Reason::UnexpectedAnswer),
    ] {
        assert_eq!(answer::failure(&answer).reason, expected);
    }
}
