//! The OpenStack of the story: Keystone, Swift, what an administrator has made there, and the programs
//! of its users.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testkit::openstack::{Clients, DEFAULT_DOMAIN, Keystone, Options, Swift, User};

use super::super::follow::Seen;
use super::super::narrator::{Narrator, seconds};
use super::super::programs;
use super::super::scene::{SOON, Scene};

/// The endpoint of the examples.
pub const KEYSTONE_PLACEHOLDER: &str = "https://keystone.example.com/v3";

/// The S3 endpoint of the examples.
pub const S3_PLACEHOLDER: &str = "https://s3.example.com";

/// What Swift says of a pair that Keystone does not know.
pub const PAIR_REFUSED: &str = "SignatureDoesNotMatch";

/// What Keystone says of an application credential that it does not know.
pub const APPLICATION_REFUSED: &str = "Could not find Application Credential";

/// The project of the examples.
const PROJECT: &str = "payments-prod";

/// The user of the examples.
const BOT: &str = "payments-bot";

/// All of it, running.
pub struct Cloud {
    // The order matters: Swift ends before the Keystone that it asks.
    swift: Swift,
    keystone: Arc<Keystone>,
    clients: Clients,
    bot: User,
    project_id: String,
}

impl Cloud {
    /// Starts it, and makes a project and a user in it.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn start(narrator: &mut Narrator, scene: &mut Scene) -> Result<Self> {
        narrator.step("An OpenStack: Keystone, and Swift with its S3 API");
        let started = Instant::now();
        let (keystone, swift, clients) = scene
            .start_apart("OpenStack", || {
                let clients = Clients::find()?;
                let keystone = Keystone::start(Options::default())?;
                let swift = Swift::start(&keystone)?;
                Ok((Arc::new(keystone), swift, clients))
            })
            .await?;
        let admin = keystone.admin();
        let project_id = admin.create_project(PROJECT, DEFAULT_DOMAIN).await?;
        let bot = admin.create_user(BOT, DEFAULT_DOMAIN).await?;
        admin.assign_role(&bot.id, &project_id, "member").await?;
        let cloud = Self {
            swift,
            keystone,
            clients,
            bot,
            project_id,
        };
        let identity = cloud.keystone_version().await?;
        narrator.verified(format!(
            "Keystone serves the Identity API {identity} at {}, after {}",
            cloud.auth_url(),
            seconds(started.elapsed())
        ));
        let storage = cloud.swift_version().await?;
        narrator.verified(format!(
            "Swift {storage} serves S3 at {}, and asks Keystone about every request",
            cloud.s3_url()
        ));
        narrator.says(&format!(
            "Its administrator has made a project {PROJECT} and a user {BOT}, who has the role member there."
        ));
        Ok(cloud)
    }

    /// The URL of the Identity API, with `/v3`.
    pub fn auth_url(&self) -> &str {
        self.keystone.auth_url()
    }

    /// The URL of the S3 API.
    pub fn s3_url(&self) -> &str {
        self.swift.s3_endpoint()
    }

    /// The user that the operator logs in as.
    pub fn bot(&self) -> &User {
        &self.bot
    }

    /// The id of the project.
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// Where a program of its users lies.
    pub fn program(&self, name: &str) -> PathBuf {
        self.clients.program(name)
    }

    /// Runs a program of its users with what is in a Secret as its environment, and nothing else.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub async fn run(&self, command: &str, secret: &Seen) -> Result<String> {
        programs::run(&self.clients, command, secret).await
    }

    /// The same, and shows it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn show(&self, narrator: &Narrator, command: &str, secret: &Seen) -> Result<String> {
        programs::show(&self.clients, narrator, command, secret).await
    }

    /// The same for a program that has to fail with `words`; shows the last line of what it says.
    ///
    /// # Errors
    /// When it succeeds, or fails in another way.
    pub async fn show_refusal(
        &self,
        narrator: &Narrator,
        command: &str,
        secret: &Seen,
        words: &str,
    ) -> Result<()> {
        programs::show_refusal(&self.clients, narrator, command, secret, words).await
    }

    /// Whether Keystone takes the pair in a Secret.
    ///
    /// # Errors
    /// When Keystone does not answer that.
    pub async fn accepts(&self, secret: &Seen) -> Result<bool> {
        let access = secret.value("AWS_ACCESS_KEY_ID")?;
        let key = secret.value("AWS_SECRET_ACCESS_KEY")?;
        self.keystone.admin().accepts_pair(&access, &key).await
    }

    /// Whether Keystone takes a token.
    ///
    /// # Errors
    /// When Keystone does not answer that.
    pub async fn token_lives(&self, token: &str) -> Result<bool> {
        self.keystone.admin().token_lives(token).await
    }

    /// How many access keys and application credentials of the operator's user Keystone knows.
    ///
    /// # Errors
    /// When Keystone does not answer that.
    pub async fn alive(&self) -> Result<(usize, usize)> {
        let admin = self.keystone.admin();
        let pairs = admin.ec2_credentials(&self.bot.id).await?.len();
        let applications = admin.application_credentials(&self.bot.id).await?.len();
        Ok((pairs, applications))
    }

    /// The roles of the only application credential.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn roles_of_the_only_one(&self) -> Result<Vec<String>> {
        let admin = self.keystone.admin();
        let all = admin.application_credentials(&self.bot.id).await?;
        let [only] = &all[..] else {
            bail!("there are {} application credentials", all.len());
        };
        Ok(only.roles.clone())
    }

    async fn keystone_version(&self) -> Result<String> {
        let answer = get(self.auth_url()).await?;
        word(&answer["version"]["id"])
    }

    async fn swift_version(&self) -> Result<String> {
        let answer = get(&format!("{}/info", self.s3_url())).await?;
        word(&answer["swift"]["version"])
    }
}

async fn get(url: &str) -> Result<Value> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(SOON)
        .build()?;
    let answer = http.get(url).send().await?.error_for_status()?;
    Ok(answer.json().await?)
}

fn word(value: &Value) -> Result<String> {
    let word = value
        .as_str()
        .context("a server does not tell its version")?;
    Ok(word.to_owned())
}
