//! What all stories have in common: which one is told, and how it ends.

mod cloudcenter;
mod cloudmc;
mod consumer;
mod dce;
mod declaring;
mod example;
mod follow;
mod keystone;
mod narrator;
mod opening;
mod operator;
mod programs;
mod scene;
mod soda;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use example::Encore;
use narrator::Narrator;
use scene::Scene;

/// The stories, one for each provider.
#[derive(Clone, Copy)]
enum Story {
    Dce,
    Keystone,
    CloudCenter,
    CloudMc,
    Soda,
}

impl Story {
    /// Their names, as `PROVIDER` gives them. The first is told when nobody says anything.
    const NAMES: [(&str, Story); 5] = [
        ("dce", Story::Dce),
        ("keystone", Story::Keystone),
        ("cloudcenter", Story::CloudCenter),
        ("cloudmc", Story::CloudMc),
        ("soda", Story::Soda),
    ];

    fn chosen() -> Result<Story> {
        let asked = std::env::var("PROVIDER").unwrap_or_default();
        let found = Self::NAMES
            .iter()
            .find(|(name, _)| asked.is_empty() || *name == asked);
        let Some((_, story)) = found else {
            let known = Self::NAMES.map(|(name, _)| name).join(", ");
            bail!("PROVIDER={asked}: there is no demo of that name; there are: {known}");
        };
        Ok(*story)
    }

    async fn tell(self, narrator: &mut Narrator, scene: &mut Scene) -> Result<Encore> {
        match self {
            Story::Dce => dce::tell(narrator, scene).await,
            Story::Keystone => keystone::tell(narrator, scene).await,
            Story::CloudCenter => cloudcenter::tell(narrator, scene).await,
            Story::CloudMc => cloudmc::tell(narrator, scene).await,
            Story::Soda => soda::tell(narrator, scene).await,
        }
    }
}

/// Tells the story that the environment asks for.
pub fn main() -> ExitCode {
    let story = match Story::chosen() {
        Ok(story) => story,
        Err(error) => {
            eprintln!("demo: {error:#}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let code = runtime.block_on(run(story));
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn run(story: Story) -> ExitCode {
    let mut narrator = Narrator::new();
    let mut interrupt = Interrupt::listen();
    let mut scene = Scene::default();
    let told = tokio::select! {
        // First: what Ctrl-C does to kubectl is no failure of the story.
        biased;
        () = interrupt.came() => None,
        result = story.tell(&mut narrator, &mut scene) => Some(result),
    };
    let (code, encore) = match told {
        Some(Ok(encore)) => {
            narrator.good_end();
            (ExitCode::SUCCESS, encore)
        }
        Some(Err(error)) => {
            narrator.bad_end(&error, &scene.operator_log_tail());
            (ExitCode::FAILURE, Encore::default())
        }
        None => {
            narrator.interrupted();
            // What a shell reports for a program that SIGINT ended.
            scene.close().await;
            return ExitCode::from(130);
        }
    };
    if keep() && scene.has_control_plane() {
        tokio::select! {
            () = interrupt.came() => {}
            () = leave_up(encore, &narrator, &scene) => {}
        }
        narrator.says("ending everything");
    }
    scene.close().await;
    code
}

/// Puts up what there is to look at, says how to look, and waits for ever.
async fn leave_up(encore: Encore, narrator: &Narrator, scene: &Scene) {
    let mut failed = None;
    for example in &encore.examples {
        failed = failed.or(scene.apply(example).await.err());
    }
    narrator.says(&scene.how_to_look(&encore.looks));
    if let Some(error) = failed {
        narrator.says(&format!("({error:#})"));
    }
    std::future::pending().await
}

/// Whether `KEEP` asks for leaving everything up.
fn keep() -> bool {
    std::env::var("KEEP").is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

/// Ctrl-C, or a SIGTERM.
struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    fn listen() -> Self {
        let listen = |kind| signal(kind).expect("signals can be listened to");
        Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
        }
    }

    async fn came(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
