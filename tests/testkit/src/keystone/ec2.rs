//! `/v3/users/{id}/credentials/OS-EC2`: the rows of type ec2 once more, by access key.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal, forbidden, no_content, not_found, ok, unauthorized};
use super::call::{Call, Caller};
use super::state::{Credential, id_of};

pub(super) fn list(call: &mut Call<'_>, user: &str) -> Answer {
    let caller = call.caller()?;
    if !caller.is(user) && !caller.is_admin() {
        return Err(forbidden("identity:ec2_list_credentials"));
    }
    caller.refuse_delegated()?;
    call.user_exists(user)?;
    let rows = call.state.credentials.values();
    let rows = rows.filter(|row| row.user == user && row.is_ec2());
    let items = rows.map(|row| describe(call, row)).collect();
    ok(&call.list("credentials", items))
}

pub(super) fn get(call: &mut Call<'_>, user: &str, access: &str) -> Answer {
    let may = |caller: &Caller, owner: &str| caller.is(owner);
    let row = find(call, user, access, "ec2_get_credential", may)?;
    ok(&json!({"credential": describe(call, row)}))
}

pub(super) fn delete(call: &mut Call<'_>, user: &str, access: &str) -> Answer {
    let may = |caller: &Caller, owner: &str| caller.is(owner) && caller.has("member");
    find(call, user, access, "ec2_delete_credential", may)?;
    call.state.credentials.remove(&id_of(access));
    no_content()
}

/// The row, for an admin or whom `may` allows. An unknown key is a 404 to everybody, before any question of rights;
/// and whose row it is, is not compared with the user in the path.
fn find<'a>(
    call: &'a Call<'_>,
    user: &str,
    access: &str,
    action: &str,
    may: impl Fn(&Caller, &str) -> bool,
) -> Result<&'a Credential, Refusal> {
    let caller = call.caller()?;
    let id = id_of(access);
    let row = call.state.credentials.get(&id);
    let row = row.ok_or_else(|| not_found(format!("Could not find credential: {id}.")))?;
    if !may(&caller, &row.user) && !caller.is_admin() {
        return Err(forbidden(&format!("identity:{action}")));
    }
    call.user_exists(user)?;
    if !row.is_ec2() {
        return Err(unauthorized());
    }
    caller.refuse_delegated()?;
    Ok(row)
}

fn describe(call: &Call<'_>, row: &Credential) -> Value {
    let access = row.in_blob("access").unwrap_or_default();
    let path = format!("/users/{}/credentials/OS-EC2/{access}", row.user);
    json!({
        "user_id": row.user,
        "tenant_id": row.project,
        "access": access,
        "secret": row.in_blob("secret"),
        "trust_id": null,
        "links": {"self": call.link(&path)},
    })
}
