//! When a key may be made anew, and what a refusal of that means.

use super::{
    grants::{ask, grants},
    *,
};
use crate::{
    api::{cloudcenter::CloudCenterGrant, provider::Grant},
    providers::{
        Permission, Told,
        cloudcenter::{Ask, Whose, permit, regenerate},
        driver::Ask as _,
    },
};

#[test]
fn only_what_certainly_was_not_done_is_tried_again() {
    for (status, told, reason) in [
        (429, Told::No, Reason::RateLimited),
        // CloudCenter has said no. The same login was let in a moment ago.
        (401, Told::Refused, Reason::NotRegenerated),
        (400, Told::Refused, Reason::NotRegenerated),
        (403, Told::Refused, Reason::NotRegenerated),
        (404, Told::Refused, Reason::NotRegenerated),
        (405, Told::Refused, Reason::NotRegenerated),
        (415, Told::Refused, Reason::NotRegenerated),
        // It may have been done before that was said.
        (408, Told::Perhaps, Reason::Timeout),
        (302, Told::Perhaps, Reason::UnexpectedAnswer),
        (500, Told::Perhaps, Reason::ProviderUnavailable),
        (502, Told::Perhaps, Reason::ProviderUnavailable),
        (504, Told::Perhaps, Reason::Timeout),
    ] {
        let not = regenerate::refusal(&error(status));
        assert_eq!((not.told, not.failure.reason), (told, reason), "{status}");
        assert!(!not.failure.message.contains("words of the server"));
    }
}

fn asked(user: Value, regenerate: bool) -> Ask {
    Ask {
        regenerate,
        ..ask(user)
    }
}

#[test]
fn it_takes_a_grant_that_says_so_and_is_about_the_same_user() {
    let mut permission: Permission = grants(json!([{"id": "4"}]));
    let by_id = asked(json!({"id": "4"}), true);
    let grant = &permission.grants[0];
    let words = by_id.may_be_allowed_by(grant).unwrap_err().unwrap();
    assert!(words.contains("regenerate: true"), "{words}");
    assert_eq!(
        asked(json!({"id": "4"}), false).may_be_allowed_by(grant),
        Ok(())
    );
    // Whom no grant is about hears nothing of grants.
    let stranger = asked(json!({"id": "5"}), true);
    assert_eq!(stranger.may_be_allowed_by(grant), Err(None));
    let bearer = Bearer::Other(user());
    assert!(permit::check(&permission, &bearer, false).is_ok());
    assert!(permit::check(&permission, &bearer, true).is_err());
    // One that is about somebody else gives nothing away.
    let wide = CloudCenterGrant {
        regenerate: Some(true),
        ..grants(json!([{"email": "*@elsewhere.example"}])).grants[0]
            .cloud_center
            .clone()
            .unwrap()
    };
    permission.grants.push(Grant {
        cloud_center: Some(wide),
        ..Grant::default()
    });
    assert!(permit::check(&permission, &bearer, true).is_err());
    permission.grants[0]
        .cloud_center
        .as_mut()
        .unwrap()
        .regenerate = Some(true);
    assert!(permit::check(&permission, &bearer, true).is_ok());
}

#[test]
fn how_it_is_rotated_is_no_other_key() {
    let user = json!({"id": "4"});
    assert_eq!(
        asked(user.clone(), true).digest(),
        asked(user, false).digest()
    );
    assert!(matches!(
        ask(json!({"id": "4"})),
        Ask {
            regenerate: false,
            whose: Whose::Id(_)
        }
    ));
}
