//! Users: `GET /v1/users` and `GET /v1/users/{id}` (view users).

use serde_json::{Value, json};

use super::answer::{Answer, Refusal, forbidden, invalid, no_such_user, ok};
use super::lie::Lie;
use super::protocol::Call;
use super::state::{IdShape, PAGE, Rank, User};

/// Ids of users who do not exist begin here.
const NOBODY: usize = 9_000_000;

/// How many of them a page holds at most.
const NOBODIES: usize = 1000;

/// The list, in pages that are counted from 0. `size` is how many users this page shows: the sample has 3 of 3 where
/// twenty would fit.
///
/// Asked for pages of size 0 it shows everybody, as the vendor's own tool expects; the sources do not say so.
pub(super) fn list(call: &Call<'_>) -> Answer {
    let number = |name: &str| match call.request.query_param(name) {
        Some(value) => match value.parse::<usize>() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(invalid(&format!("{name} is no number."))),
        },
        None => Ok(None),
    };
    let (page, size) = (number("page")?.unwrap_or(0), number("size")?);
    let caller = call.caller();
    let all: Vec<&User> = call
        .state
        .users
        .iter()
        .filter(|user| caller.may_see(user))
        .collect();
    let size = match size {
        Some(0) => all.len().max(1),
        Some(size) => size,
        None => PAGE,
    };
    let lie = call.state.settings.lie(true);
    let page = if lie == Some(Lie::FirstPageAgain) {
        0
    } else {
        page
    };
    let shown = all.iter().skip(page.saturating_mul(size)).take(size);
    let mut users: Vec<Value> = shown.map(|user| describe(call, user)).collect();
    let mut total = all.len();
    if lie == Some(Lie::EndlessPages) {
        total = page.saturating_add(2).saturating_mul(size);
        let missing = size.min(NOBODIES).saturating_sub(users.len());
        let first = NOBODY.saturating_add(page.saturating_mul(size));
        users.extend((0..missing).map(|number| nobody(call, first.saturating_add(number))));
    }
    let mut body = json!({
        "resource": call.link("/v1/users"),
        "size": users.len(),
        "users": users,
    });
    if lie != Some(Lie::NoTotals) {
        body["pageNumber"] = json!(page);
        body["totalElements"] = json!(total);
        body["totalPages"] = json!(total.div_ceil(size));
    }
    ok(&body)
}

pub(super) fn get(call: &Call<'_>, id: &str) -> Answer {
    let user = visible(call, id)?;
    match call.state.settings.lie(false) {
        Some(Lie::SomebodyElse) => ok(&nobody(call, NOBODY)),
        _ => ok(&describe(call, user)),
    }
}

/// The user, when the caller may look at it. The sources show neither refusal.
pub(super) fn visible<'a>(call: &'a Call<'_>, id: &str) -> Result<&'a User, Refusal> {
    let user = call.state.user(id).ok_or_else(no_such_user)?;
    match call.caller().may_see(user) {
        true => Ok(user),
        false => Err(forbidden()),
    }
}

/// The fields of the documentation's sample. `accessKeys` is not the key but a link to it (manage API key).
fn describe(call: &Call<'_>, user: &User) -> Value {
    let name = user.email.split('@').next().unwrap_or_default();
    let path = format!("/v1/users/{}", user.id);
    json!({
        "id": id(call, &user.id),
        "resource": call.link(&path),
        "perms": [],
        "username": user.username,
        "password": call.state.settings.redaction,
        "enabled": user.enabled,
        "type": if user.rank == Rank::User { "STANDARD" } else { "TENANT" },
        "firstName": name,
        "lastName": "",
        "companyName": "",
        "tenantId": id(call, &user.tenant),
        "emailAddr": user.email,
        "emailVerified": true,
        "phoneNumber": "",
        "externalId": null,
        "accessKeys": call.link(&format!("{path}/keys")),
        "disableReason": null,
        "accountSource": "AdminCreated",
        "status": null,
        "detail": null,
        "activationData": null,
        "created": user.created,
        "lastUpdated": user.updated,
        "coAdmin": false,
        "tenantAdmin": user.rank != Rank::User,
        "activationProfileId": null,
        "hasSubscriptionPlanType": false,
    })
}

/// A user who does not exist.
fn nobody(call: &Call<'_>, number: usize) -> Value {
    let user = User {
        id: number.to_string(),
        username: format!("nobody_{number}"),
        email: format!("nobody{number}@example.com"),
        tenant: call.caller().tenant.clone(),
        rank: Rank::User,
        enabled: true,
        password: String::new(),
        created: call.caller().created,
        updated: call.caller().updated,
    };
    describe(call, &user)
}

fn id(call: &Call<'_>, id: &str) -> Value {
    let number = id.parse::<u64>().ok();
    match number.filter(|_| call.state.settings.ids == IdShape::Number) {
        Some(number) => json!(number),
        None => json!(id),
    }
}
