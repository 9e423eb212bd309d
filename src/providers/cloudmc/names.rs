//! Connections and environments as requests name them and as CloudMC knows them, and what a grant's
//! pattern makes of them.

use serde::Serialize;

use crate::{
    api::{
        Reason,
        cloudmc::{CloudMcPattern, CloudMcRef},
        names::{NO_ID, NO_NAME, is_id, is_name},
    },
    plan::Refusal,
    providers::glob::glob,
};

/// A connection or an environment as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Named {
    /// By its id.
    Id(String),
    /// By its name.
    Name(String),
}

/// A connection or an environment as CloudMC knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Its id, which can be part of a path and of a status.
    pub id: String,
    /// Its name; absent where CloudMC tells none.
    pub name: Option<String>,
    /// Of an environment: the id of the connection that it belongs to, where CloudMC tells it.
    pub connection: Option<String>,
    /// Of an environment: the organization that it belongs to, as far as CloudMC tells it.
    pub organization: Option<Box<Entity>>,
}

impl Entity {
    /// One of which no more is known than its id.
    pub fn known_by(id: &str) -> Entity {
        Entity {
            id: id.to_owned(),
            name: None,
            connection: None,
            organization: None,
        }
    }
}

/// Reads how a connection or an environment is named.
///
/// # Errors
/// `InvalidSpec` with the field.
pub fn read(field: &str, named: &CloudMcRef) -> Result<Named, Refusal> {
    let invalid =
        |part: &str, what| Refusal::new(Reason::InvalidSpec, format!("{field}{part}: {what}"));
    match (&named.id, &named.name) {
        (Some(id), None) if is_id(id) => Ok(Named::Id(id.clone())),
        (None, Some(name)) if is_name(name) => Ok(Named::Name(name.clone())),
        (Some(_), None) => Err(invalid(".id", NO_ID)),
        (None, Some(_)) => Err(invalid(".name", NO_NAME)),
        _ => Err(invalid("", "state either id or name")),
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Named::Id(id) => write!(f, "with the id {id}"),
            Named::Name(name) => write!(f, "called {name}"),
        }
    }
}

/// Whether a pattern is about this one. What counts is what CloudMC says about it.
pub fn matches(pattern: &CloudMcPattern, entity: &Entity) -> bool {
    match (&pattern.id, &pattern.name) {
        (Some(id), None) => *id == entity.id,
        (None, Some(pattern)) => entity.name.as_ref().is_some_and(|name| glob(pattern, name)),
        _ => false,
    }
}

/// Whether a pattern is about what is asked for, as far as its words tell; absent where only CloudMC
/// knows, since one has an id and the other a name.
pub fn matches_words(pattern: &CloudMcPattern, asked: &Named) -> Option<bool> {
    match (&pattern.id, &pattern.name, asked) {
        (Some(id), None, Named::Id(asked)) => Some(id == asked),
        (None, Some(pattern), Named::Name(asked)) => Some(glob(pattern, asked)),
        (Some(_), None, Named::Name(_)) | (None, Some(_), Named::Id(_)) => None,
        _ => Some(false),
    }
}
