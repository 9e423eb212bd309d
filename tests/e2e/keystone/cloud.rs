//! The Keystone behind a rig: a real one, or a simulator that answers as it does and a hundred times
//! as fast, for stories in which much happens.

use sha2::{Digest, Sha256};
use testkit::{
    keystone::{KeystoneOptions, KeystoneSimulator},
    openstack::{Admin, ApplicationCredential, Ec2Credential, Keystone, Refused, User},
};

use super::DOMAIN;

/// The Keystone behind a rig, as somebody sees it who may see everything.
pub enum Cloud {
    /// A real one.
    Real(Admin),
    /// A simulator.
    Simulated(Box<KeystoneSimulator>),
}

impl Cloud {
    /// The real one that all stories share.
    pub fn real() -> (Cloud, String) {
        Cloud::at(Keystone::shared())
    }

    /// A real one.
    pub fn at(keystone: &Keystone) -> (Cloud, String) {
        (
            Cloud::Real(keystone.admin().clone()),
            keystone.url().to_owned(),
        )
    }

    /// A simulator of the story's own.
    pub fn simulated() -> (Cloud, String) {
        let simulator = KeystoneSimulator::start(KeystoneOptions::default());
        let url = simulator.url();
        (Cloud::Simulated(Box::new(simulator)), url)
    }

    /// The administrator of the real one.
    pub fn admin(&self) -> &Admin {
        match self {
            Cloud::Real(admin) => admin,
            Cloud::Simulated(_) => panic!("this story has a simulator"),
        }
    }

    /// Makes a project; returns its id.
    pub async fn create_project(&self, name: &str) -> String {
        match self {
            Cloud::Real(admin) => admin.create_project(name, DOMAIN).await.unwrap(),
            Cloud::Simulated(simulator) => simulator.add_project(name, DOMAIN),
        }
    }

    /// Makes a user.
    pub async fn create_user(&self, name: &str) -> User {
        match self {
            Cloud::Real(admin) => admin.create_user(name, DOMAIN).await.unwrap(),
            Cloud::Simulated(simulator) => {
                let (id, password) = simulator.add_user(name, DOMAIN);
                User {
                    id,
                    name: name.to_owned(),
                    domain_id: DOMAIN.to_owned(),
                    password,
                }
            }
        }
    }

    /// Gives a user a role in a project.
    pub async fn assign_role(&self, user: &User, project: &str, role: &str) {
        match self {
            Cloud::Real(admin) => admin.assign_role(&user.id, project, role).await.unwrap(),
            Cloud::Simulated(simulator) => simulator.assign_role(&user.id, project, role),
        }
    }

    /// The pairs of a user that are there.
    pub async fn pairs(&self, user: &User) -> Vec<Ec2Credential> {
        match self {
            Cloud::Real(admin) => admin.ec2_credentials(&user.id).await.unwrap(),
            Cloud::Simulated(simulator) => simulator
                .live_pairs()
                .into_iter()
                .filter(|pair| pair.user_id == user.id)
                .map(|pair| Ec2Credential {
                    id: Sha256::digest(&pair.access)
                        .iter()
                        .map(|byte| format!("{byte:02x}"))
                        .collect(),
                    access: pair.access,
                    secret: String::new(),
                    project_id: pair.project_id.unwrap_or_default(),
                    user_id: pair.user_id,
                    blob: serde_json::Value::Null,
                })
                .collect(),
        }
    }

    /// The application credentials of a user that are there.
    pub async fn application_credentials(&self, user: &User) -> Vec<ApplicationCredential> {
        match self {
            Cloud::Real(admin) => admin.application_credentials(&user.id).await.unwrap(),
            Cloud::Simulated(simulator) => simulator
                .live_application_credentials()
                .into_iter()
                .filter(|one| one.user_id == user.id)
                .map(|one| ApplicationCredential {
                    id: one.id,
                    name: one.name,
                    project_id: one.project_id.unwrap_or_default(),
                    roles: one.roles,
                    expires_at: one.expires_at.map(|at| at.to_string()),
                    unrestricted: one.unrestricted,
                    description: one.description,
                })
                .collect(),
        }
    }

    /// Whether Keystone accepts a pair.
    pub async fn accepts(&self, (access, secret): &(String, String)) -> bool {
        match self {
            Cloud::Real(admin) => admin.accepts_pair(access, secret).await.unwrap(),
            Cloud::Simulated(simulator) => simulator.pair_works(access, secret),
        }
    }

    /// Whether Keystone lets an application credential log in.
    pub async fn logs_in(&self, id: &str, secret: &str) -> bool {
        match self {
            Cloud::Real(admin) => {
                match admin.login_application_credential(id, secret).await {
                    Ok(_) => true,
                    // Anything else than a refusal is no answer to the question.
                    Err(error) => {
                        let refused = error.downcast_ref::<Refused>().map(|it| it.status);
                        assert!(matches!(refused, Some(401 | 404)), "{error:#}");
                        false
                    }
                }
            }
            Cloud::Simulated(simulator) => simulator.application_credential_works(id, secret),
        }
    }
}
