//! Projects and users as requests name them and as Keystone knows them, and what a grant's pattern
//! makes of them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    api::{
        Reason,
        keystone::{NamePattern, NameRef},
        names::{is_id, is_name},
    },
    plan::Refusal,
    providers::glob::glob,
};

/// A project or user as it was asked for. The same name can exist in several domains, so a name never
/// goes without one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Named {
    /// By its id.
    Id(String),
    /// By its name within a domain.
    Name(String, Domain),
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Domain {
    /// By its id.
    Id(String),
    /// By its name.
    Name(String),
}

/// A project or user as Keystone knows it (Identity API v3, `token.project` and `token.user`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Entity {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: EntityDomain,
}

/// A domain as Keystone knows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EntityDomain {
    /// Its id.
    pub id: String,
    /// Its name. Users' domains have one in tokens alone.
    #[serde(default)]
    pub name: Option<String>,
}

impl Entity {
    /// Whether its ids and names are such as can be written down and be part of a path.
    pub fn is_fit(&self) -> bool {
        let names = [Some(&self.name), self.domain.name.as_ref()];
        is_given_id(&self.id)
            && is_given_id(&self.domain.id)
            && names.into_iter().flatten().all(|name| is_name(name))
    }
}

/// Whether a text can be an id that Keystone gives out. Those that come from directories are freer
/// than those that it makes up.
pub fn is_given_id(text: &str) -> bool {
    is_name(text) && text.len() <= 64 && !text.contains('/') && text != "." && text != ".."
}

/// Reads how a project or user is named.
///
/// # Errors
/// `InvalidSpec` with the field.
pub fn read(field: &str, named: &NameRef) -> Result<Named, Refusal> {
    let invalid = |what: &str| Refusal::new(Reason::InvalidSpec, format!("{field}: {what}"));
    match (&named.id, &named.name, &named.domain, &named.domain_id) {
        (Some(id), None, None, None) if is_id(id) => Ok(Named::Id(id.clone())),
        (None, Some(name), Some(domain), None) if is_name(name) && is_name(domain) => {
            Ok(Named::Name(name.clone(), Domain::Name(domain.clone())))
        }
        (None, Some(name), None, Some(domain)) if is_name(name) && is_id(domain) => {
            Ok(Named::Name(name.clone(), Domain::Id(domain.clone())))
        }
        _ => Err(invalid(
            "state either id, or name with one of domain and domainID",
        )),
    }
}

impl Named {
    /// As it stands in the body of a login (Identity API v3, "Password authentication with scoped
    /// authorization").
    pub fn to_json(&self) -> Value {
        match self {
            Named::Id(id) => json!({"id": id}),
            Named::Name(name, domain) => json!({"name": name, "domain": domain.to_json()}),
        }
    }

    /// Whether it is this one.
    pub fn is(&self, entity: &Entity) -> bool {
        match self {
            Named::Id(id) => *id == entity.id,
            Named::Name(name, domain) => *name == entity.name && domain.is(&entity.domain),
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Named::Id(id) => write!(f, "with the id {id}"),
            Named::Name(name, Domain::Name(domain)) => write!(f, "{name} of domain {domain}"),
            Named::Name(name, Domain::Id(domain)) => {
                write!(f, "{name} of the domain with the id {domain}")
            }
        }
    }
}

impl Domain {
    /// As it stands in the body of a login.
    pub fn to_json(&self) -> Value {
        match self {
            Domain::Id(id) => json!({"id": id}),
            Domain::Name(name) => json!({"name": name}),
        }
    }

    fn is(&self, domain: &EntityDomain) -> bool {
        match self {
            Domain::Id(id) => *id == domain.id,
            Domain::Name(name) => Some(name) == domain.name.as_ref(),
        }
    }
}

/// Whether a pattern is about this project or user. What counts is what Keystone says about it.
pub fn matches(pattern: &NamePattern, entity: &Entity) -> bool {
    match (&pattern.id, &pattern.name) {
        (Some(id), None) => *id == entity.id,
        (None, Some(name)) => {
            let domain = match (&pattern.domain, &pattern.domain_id) {
                (Some(name), None) => Domain::Name(name.clone()),
                (None, Some(id)) => Domain::Id(id.clone()),
                _ => return false,
            };
            glob(name, &entity.name) && domain.is(&entity.domain)
        }
        _ => false,
    }
}

/// Whether a pattern may be about what is asked for, as far as its words tell: what is certainly not
/// is refused without asking Keystone.
pub fn may_match(pattern: &NamePattern, asked: &Named) -> bool {
    let same = |a: &Option<String>, b: &str| a.as_ref().is_none_or(|a| a == b);
    match asked {
        Named::Id(id) => same(&pattern.id, id),
        Named::Name(name, domain) => {
            pattern
                .name
                .as_ref()
                .is_none_or(|pattern| glob(pattern, name))
                && match domain {
                    Domain::Id(id) => same(&pattern.domain_id, id),
                    Domain::Name(name) => same(&pattern.domain, name),
                }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(id: &str, name: &str, domain: (&str, &str)) -> Entity {
        Entity {
            id: id.into(),
            name: name.into(),
            domain: EntityDomain {
                id: domain.0.into(),
                name: Some(domain.1.into()),
            },
        }
    }

    fn pattern(name: &str, domain: &str) -> NamePattern {
        NamePattern {
            name: Some(name.into()),
            domain: Some(domain.into()),
            ..NamePattern::default()
        }
    }

    #[test]
    fn a_name_counts_within_its_domain_alone() {
        let here = entity("1", "prod", ("default", "Default"));
        let there = entity("2", "prod", ("d2", "Other"));
        // A domain whose name is the id of another one.
        let trap = entity("3", "prod", ("d3", "default"));
        assert!(matches(&pattern("prod", "Default"), &here));
        for other in [&there, &trap] {
            assert!(!matches(&pattern("prod", "Default"), other));
        }
        let by_id = NamePattern {
            name: Some("prod".into()),
            domain_id: Some("default".into()),
            ..NamePattern::default()
        };
        assert!(matches(&by_id, &here) && !matches(&by_id, &trap));
    }

    #[test]
    fn what_is_certainly_something_else_is_refused_by_its_words() {
        let asked = Named::Name("prod".into(), Domain::Name("Default".into()));
        for (pattern, expected) in [
            (pattern("prod", "Default"), true),
            (pattern("*", "Other"), false),
            (pattern("test", "Default"), false),
            // Whether these are the same only Keystone knows.
            (
                NamePattern {
                    id: Some("1".into()),
                    ..NamePattern::default()
                },
                true,
            ),
            (
                NamePattern {
                    name: Some("prod".into()),
                    domain_id: Some("default".into()),
                    ..NamePattern::default()
                },
                true,
            ),
        ] {
            assert_eq!(may_match(&pattern, &asked), expected, "{pattern:?}");
        }
    }
}
