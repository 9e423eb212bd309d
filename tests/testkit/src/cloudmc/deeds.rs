//! What tests do to the simulator: they declare who and what exists, and act behind the back of whoever uses it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::fields::Field;
use super::services::{Service, marked};
use super::simulator::CloudMcSimulator;
use super::state::{
    ApiKey, Connection, Environment, Organization, Person, Rights, State, User, new_id,
};

impl CloudMcSimulator {
    /// Makes an organization, and returns its id.
    pub fn add_organization(&self, name: &str) -> String {
        let id = new_id();
        let organization = Organization {
            id: id.clone(),
            name: name.to_owned(),
        };
        self.cloudmc.state().organizations.push(organization);
        id
    }

    /// Makes a user without rights in an organization, given by its id, with one API key.
    pub fn add_user(&self, organization: &str, username: &str) -> Person {
        let id = new_id();
        let mut state = self.cloudmc.state();
        known_organization(&state, organization);
        state.users.push(User {
            id: id.clone(),
            username: username.to_owned(),
            organization: organization.to_owned(),
            rights: Rights::default(),
            created: Timestamp::now(),
        });
        let api_key = add_api_key(&mut state, &id);
        Person {
            id,
            username: username.to_owned(),
            organization: organization.to_owned(),
            api_key,
        }
    }

    /// What a user may do from now on.
    pub fn set_rights(&self, user: &str, rights: Rights) {
        let mut state = self.cloudmc.state();
        let found = state.users.iter_mut().find(|found| found.id == user);
        found.unwrap_or_else(|| panic!("no user {user}")).rights = rights;
    }

    /// Gives a user one more API key, and returns it. In the portal only the user can do so, and sees it once.
    pub fn add_api_key(&self, user: &str) -> String {
        add_api_key(&mut self.cloudmc.state(), user)
    }

    /// From now on this API key is refused.
    pub fn delete_api_key(&self, api_key: &str) {
        let mut state = self.cloudmc.state();
        let key = state.api_keys.get_mut(api_key).expect("an API key");
        key.deleted = true;
    }

    /// Makes a connection to a service, owned by an organization, and returns its id. Its parameters are a secret that
    /// begins with `ADMINMARK-`.
    pub fn add_connection(
        &self,
        organization: &str,
        name: &str,
        code: &str,
        service: Service,
    ) -> String {
        let id = new_id();
        let mut state = self.cloudmc.state();
        known_organization(&state, organization);
        let admin = marked("ADMINMARK");
        state.ledger.secret(&admin);
        if let Service::Custom(fields) = &service {
            state.ledger.fields(fields);
        }
        state.connections.push(Connection {
            id: id.clone(),
            code: code.to_owned(),
            name: name.to_owned(),
            service,
            organizations: BTreeSet::from([organization.to_owned()]),
            can_regenerate: true,
            hidden: BTreeSet::new(),
            parameters: vec![("jsonCredentials".to_owned(), admin)],
        });
        id
    }

    /// Assigns a connection to one more organization.
    pub fn assign_connection(&self, connection: &str, organization: &str) {
        let mut state = self.cloudmc.state();
        known_organization(&state, organization);
        let organizations = &mut connection_of(&mut state, connection).organizations;
        organizations.insert(organization.to_owned());
    }

    /// Whether the portal offers to regenerate the keys of this connection.
    pub fn allow_regenerating(&self, connection: &str, allowed: bool) {
        connection_of(&mut self.cloudmc.state(), connection).can_regenerate = allowed;
    }

    /// Puts a field on the connection's blacklist: nobody sees it any longer, though it is there.
    pub fn hide_field(&self, connection: &str, key: &str) {
        let mut state = self.cloudmc.state();
        let hidden = &mut connection_of(&mut state, connection).hidden;
        hidden.insert(key.to_owned());
    }

    /// Makes an environment of an organization at a connection, and returns its id. The connection is assigned to the
    /// organization. Any name will do, though the portal's rules are strict.
    pub fn add_environment(&self, organization: &str, connection: &str, name: &str) -> String {
        self.assign_connection(connection, organization);
        let id = new_id();
        self.cloudmc.state().environments.push(Environment {
            id: id.clone(),
            name: name.to_owned(),
            description: String::new(),
            organization: organization.to_owned(),
            connection: connection.to_owned(),
            members: BTreeSet::new(),
            created: Timestamp::now(),
        });
        id
    }

    /// Describes an environment, with as much text as somebody likes.
    pub fn describe_environment(&self, environment: &str, description: &str) {
        let mut state = self.cloudmc.state();
        environment_of(&mut state, environment).description = description.to_owned();
    }

    /// Removes an environment and everybody's values in it.
    pub fn delete_environment(&self, environment: &str) {
        let mut state = self.cloudmc.state();
        environment_of(&mut state, environment);
        state.environments.retain(|found| found.id != environment);
        state.values.retain(|(_, place), _| place != environment);
    }

    /// Makes a user a member of an environment. There are values from then on: those of an earlier membership, else new
    /// ones; what environments share is as in the user's others.
    pub fn add_member(&self, environment: &str, user: &str) {
        let mut state = self.cloudmc.state();
        assert!(state.user(user).is_some(), "no user {user}");
        let members = &mut environment_of(&mut state, environment).members;
        members.insert(user.to_owned());
        state.provide(user, environment);
    }

    /// Ends a membership.
    pub fn remove_member(&self, environment: &str, user: &str) {
        let mut state = self.cloudmc.state();
        let removed = environment_of(&mut state, environment).members.remove(user);
        assert!(removed, "user {user} is no member");
    }

    /// Gives a connection another id: whatever text, also one that no path should hold.
    pub fn set_connection_id(&self, connection: &str, new: &str) {
        let mut state = self.cloudmc.state();
        connection_of(&mut state, connection).id = new.to_owned();
        for environment in &mut state.environments {
            if environment.connection == connection {
                environment.connection = new.to_owned();
            }
        }
    }

    /// Gives an environment another id: whatever text.
    pub fn set_environment_id(&self, environment: &str, new: &str) {
        let mut state = self.cloudmc.state();
        environment_of(&mut state, environment).id = new.to_owned();
        let values = std::mem::take(&mut state.values);
        let values = values.into_iter().map(|((user, place), fields)| {
            let place = if place == environment {
                new.to_owned()
            } else {
                place
            };
            ((user, place), fields)
        });
        state.values = values.collect();
    }

    /// Replaces all values of a user in an environment, also with nonsense such as one key twice.
    pub fn set_fields(&self, user: &str, environment: &str, fields: Vec<Field>) {
        let mut state = self.cloudmc.state();
        state.ledger.fields(&fields);
        *values_of(&mut state, user, environment) = fields;
    }

    /// Changes one value of a user: in this environment if the field belongs to it, else in all environments of the
    /// user at the same connection.
    pub fn set_value(&self, user: &str, environment: &str, key: &str, value: impl Into<Value>) {
        let mut state = self.cloudmc.state();
        let fields = values_of(&mut state, user, environment).iter();
        let field = fields.clone().find(|field| field.key == key);
        let mut field = field.unwrap_or_else(|| panic!("no field {key}")).clone();
        field.value = value.into();
        change(&mut state, user, environment, &field);
    }

    /// Presses "Regenerate": the user's sensitive values at the connection of this environment change, and so does the
    /// S3 access key. What is shared changes in all environments of the user (knowledge base).
    pub fn regenerate(&self, user: &str, environment: &str) {
        let mut state = self.cloudmc.state();
        let place = environment_of(&mut state, environment).connection.clone();
        let service = connection_of(&mut state, &place).service.clone();
        let fresh = match &service {
            // Everybody has the same, so only the texts tell apart.
            Service::Custom(_) => {
                let mut fields = values_of(&mut state, user, environment).clone();
                for field in fields.iter_mut().filter(|field| field.sensitive) {
                    field.value = marked("SKMARK").into();
                }
                fields
            }
            _ => state.fresh(user, environment),
        };
        for field in fresh {
            if field.sensitive || service.regenerates(&field.key) {
                change(&mut state, user, environment, &field);
            }
        }
    }
}

fn add_api_key(state: &mut State, user: &str) -> String {
    assert!(state.user(user).is_some(), "no user {user}");
    let key = marked("MCKEYMARK");
    state.ledger.secret(&key);
    let row = ApiKey {
        user: user.to_owned(),
        deleted: false,
        uses: 0,
    };
    state.api_keys.insert(key.clone(), row);
    key
}

/// Gives a field its new value wherever the user has it.
fn change(state: &mut State, user: &str, environment: &str, field: &Field) {
    state.ledger.fields(std::slice::from_ref(field));
    let places = match field.environment_specific {
        true => vec![environment.to_owned()],
        false => state.siblings(user, environment),
    };
    for place in places {
        for known in values_of(state, user, &place) {
            if known.key == field.key {
                known.value = field.value.clone();
            }
        }
    }
}

fn known_organization(state: &State, id: &str) {
    assert!(state.organization(id).is_some(), "no organization {id}");
}

fn connection_of<'a>(state: &'a mut State, id: &str) -> &'a mut Connection {
    let found = state.connections.iter_mut().find(|found| found.id == id);
    found.unwrap_or_else(|| panic!("no connection {id}"))
}

fn environment_of<'a>(state: &'a mut State, id: &str) -> &'a mut Environment {
    let found = state.environments.iter_mut().find(|found| found.id == id);
    found.unwrap_or_else(|| panic!("no environment {id}"))
}

fn values_of<'a>(state: &'a mut State, user: &str, environment: &str) -> &'a mut Vec<Field> {
    let key = (user.to_owned(), environment.to_owned());
    let values = state.values.get_mut(&key);
    values.unwrap_or_else(|| panic!("user {user} has no values in {environment}"))
}
