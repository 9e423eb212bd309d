//! The programs of a system's users, with nothing but a Secret as their environment.

use anyhow::{Context as _, Result, bail, ensure};
use testkit::openstack::Clients;

use super::follow::Seen;
use super::narrator::Narrator;

/// Runs a program with the keys and values of a Secret as its environment, and nothing else.
///
/// # Errors
/// When it fails, with its own words.
pub async fn run(clients: &Clients, command: &str, secret: &Seen) -> Result<String> {
    let environment = secret.environment()?;
    let variables: Vec<_> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut words = command.split_whitespace();
    let program = words.next().context("there is no command")?;
    let arguments: Vec<_> = words.collect();
    clients.run(program, &arguments, &variables).await
}

/// The same, and shows it.
///
/// # Errors
/// As [`run`].
pub async fn show(
    clients: &Clients,
    narrator: &Narrator,
    command: &str,
    secret: &Seen,
) -> Result<String> {
    narrator.command(command);
    let said = run(clients, command, secret).await?;
    narrator.output(&said);
    Ok(said)
}

/// The same for a program that has to fail with `words`; shows the last line of its output.
///
/// # Errors
/// When it succeeds, or fails in another way.
pub async fn show_refusal(
    clients: &Clients,
    narrator: &Narrator,
    command: &str,
    secret: &Seen,
    words: &str,
) -> Result<()> {
    narrator.command(command);
    let Err(error) = run(clients, command, secret).await else {
        bail!("{command} works, and must not any more");
    };
    let said = error.to_string();
    ensure!(said.contains(words), "{command} is not refused: {said}");
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    narrator.output(last.unwrap_or_default());
    Ok(())
}
