//! What can be read about Keystone, its users and their roles.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::answer::{Answer, forbidden, not_found, ok};
use super::call::Call;
use super::state::{Project, State, User, implied};
use crate::server::json as json_answer;

/// `GET /`.
pub(super) fn versions(call: &mut Call<'_>) -> Answer {
    let body = json!({"versions": {"values": [v3(call)]}});
    let mut answer = json_answer(StatusCode::MULTIPLE_CHOICES, &body);
    if let Ok(location) = HeaderValue::from_str(&call.link("/")) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// `GET /v3`.
pub(super) fn version(call: &mut Call<'_>) -> Answer {
    ok(&json!({"version": v3(call)}))
}

fn v3(call: &Call<'_>) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": call.link("/")}],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"},
        ],
    })
}

/// `GET /v3/users`: for admins, by name and domain.
pub(super) fn users(call: &mut Call<'_>) -> Answer {
    if !call.caller()?.is_admin() {
        return Err(forbidden("identity:list_users"));
    }
    let (name, domain) = (
        call.request.query_param("name"),
        call.request.query_param("domain_id"),
    );
    let users = call.state.users.iter().filter(|(_, user)| {
        name.as_ref().is_none_or(|name| user.name == *name)
            && domain.as_ref().is_none_or(|domain| user.domain == *domain)
    });
    let items = users.map(|(id, user)| describe(call, id, user)).collect();
    ok(&call.list("users", items))
}

/// `GET /v3/users/{id}`: for admins, and for oneself.
pub(super) fn user(call: &mut Call<'_>, id: &str) -> Answer {
    let caller = call.caller()?;
    if !caller.is(id) && !caller.is_admin() {
        return Err(forbidden("identity:get_user"));
    }
    call.user_exists(id)?;
    ok(&json!({"user": describe(call, id, &call.state.users[id])}))
}

fn describe(call: &Call<'_>, id: &str, user: &User) -> Value {
    let mut body = json!({
        "id": id,
        "name": user.name,
        "domain_id": user.domain,
        "enabled": user.enabled,
        "options": {},
        "password_expires_at": null,
        "links": {"self": call.link(&format!("/users/{id}"))},
    });
    if let Some(project) = &user.default_project {
        body["default_project_id"] = json!(project);
    }
    body
}

/// `GET /v3/projects/{id}`: for admins, and for those whose token is for it. To all others one that does not exist looks
/// like one of somebody else.
pub(super) fn project(call: &mut Call<'_>, id: &str) -> Answer {
    let caller = call.caller()?;
    let known = call.state.projects.get(id);
    let own = known.is_some() && caller.token.project.as_deref() == Some(id);
    if !own && !caller.is_admin() {
        return Err(forbidden("identity:get_project"));
    }
    let Some(project) = known else {
        return Err(not_found(format!("Could not find project: {id}.")));
    };
    ok(&json!({"project": describe_project(call, id, project)}))
}

/// `GET /v3/auth/projects`: the projects in which the caller has a role and that can be used.
pub(super) fn own_projects(call: &mut Call<'_>) -> Answer {
    let caller = call.caller()?;
    let grants = call.state.users.get(&caller.token.user);
    let grants = grants.into_iter().flat_map(|user| &user.grants);
    let held = grants.filter(|(_, roles)| !roles.is_empty());
    let items = held.filter_map(|(id, _)| {
        let project = call.state.projects.get(id)?;
        project.enabled.then(|| describe_project(call, id, project))
    });
    let items = items.collect();
    ok(&call.list("projects", items))
}

fn describe_project(call: &Call<'_>, id: &str, project: &Project) -> Value {
    json!({
        "id": id,
        "name": project.name,
        "domain_id": project.domain,
        "description": "",
        "enabled": project.enabled,
        "parent_id": project.domain,
        "is_domain": false,
        "options": {},
        "tags": [],
        "links": {"self": call.link(&format!("/projects/{id}"))},
    })
}

/// `GET /v3/role_assignments`: for admins, by user and project. With `effective` implied roles are listed too, each
/// with the role that it comes from.
pub(super) fn role_assignments(call: &mut Call<'_>) -> Answer {
    if !call.caller()?.is_admin() {
        return Err(forbidden("identity:list_role_assignments"));
    }
    let wanted_user = call.request.query_param("user.id");
    let wanted_project = call.request.query_param("scope.project.id");
    let effective = call.switched_on("effective");
    let names = call.switched_on("include_names");
    if effective {
        if let Some(id) = &wanted_user {
            call.user_exists(id)?;
        }
        if let Some(id) = wanted_project.as_ref()
            && !call.state.projects.contains_key(id)
        {
            return Err(not_found(format!("Could not find project: {id}.")));
        }
    }
    let mut items: Vec<Value> = Vec::new();
    for (user, known) in &call.state.users {
        if wanted_user.as_ref().is_some_and(|wanted| wanted != user) {
            continue;
        }
        for (project, roles) in &known.grants {
            if wanted_project
                .as_ref()
                .is_some_and(|wanted| wanted != project)
            {
                continue;
            }
            for role in roles {
                let place = Place {
                    user,
                    project,
                    names,
                };
                items.push(place.assignment(call, role, None));
                if effective {
                    items.extend(place.implied_by(call, role));
                }
            }
        }
    }
    // Two roles may imply the same one in the same way.
    let mut seen: Vec<Value> = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    ok(&call.list("role_assignments", seen))
}

/// Who has roles where.
struct Place<'a> {
    user: &'a str,
    project: &'a str,
    names: bool,
}

impl Place<'_> {
    /// What comes with a role, each because of the one before it.
    fn implied_by(&self, call: &Call<'_>, role: &str) -> Vec<Value> {
        let mut before = role;
        let chain = implied(role).iter().map(|role| {
            let item = self.assignment(call, role, Some(before));
            before = role;
            item
        });
        chain.collect()
    }

    fn assignment(&self, call: &Call<'_>, role: &str, because_of: Option<&str>) -> Value {
        let state = &*call.state;
        let id = id_of_role(state, role);
        let source = because_of.map_or(id, |role| id_of_role(state, role));
        let path = format!(
            "/projects/{}/users/{}/roles/{source}",
            self.project, self.user
        );
        let mut links = json!({"assignment": call.link(&path)});
        if because_of.is_some() {
            let path = format!("/prior_role/{id}/implies/{source}");
            links["prior_role"] = json!(call.link(&path));
        }
        let mut body = json!({
            "links": links,
            "role": {"id": id},
            "scope": {"project": {"id": self.project}},
            "user": {"id": self.user},
        });
        if self.names {
            let (user, project) = (&state.users[self.user], &state.projects[self.project]);
            body["role"]["name"] = json!(role);
            body["user"]["name"] = json!(user.name);
            body["user"]["domain"] = state.domain(&user.domain);
            body["scope"]["project"]["name"] = json!(project.name);
            body["scope"]["project"]["domain"] = state.domain(&project.domain);
        }
        body
    }
}

fn id_of_role<'a>(state: &'a State, name: &str) -> &'a str {
    let role = state.role_named(name);
    role.map(|role| role.id.as_str()).unwrap_or_default()
}
