//! What all stories have in common: which one is told, and how it ends.

mod consumer;
mod dce;
mod follow;
mod narrator;
mod operator;
mod scene;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use narrator::Narrator;
use scene::Scene;

/// The stories, one for each provider.
#[derive(Clone, Copy)]
enum Story {
    Dce,
}

impl Story {
    /// Their names, as `PROVIDER` gives them. The first is told when nobody says anything.
    const NAMES: [(&str, Story); 1] = [("dce", Story::Dce)];

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

    async fn tell(self, narrator: &mut Narrator, scene: &mut Scene) -> Result<()> {
        match self {
            Story::Dce => dce::tell(narrator, scene).await,
        }
    }

    /// Puts up what there is to look at when the scene is left up.
    async fn leave_up(self, scene: &Scene) -> Result<Vec<String>> {
        match self {
            Story::Dce => dce::leave_up(scene).await,
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
    let code = match told {
        Some(Ok(())) => {
            narrator.good_end();
            ExitCode::SUCCESS
        }
        Some(Err(error)) => {
            narrator.bad_end(&error, &scene.operator_log_tail());
            ExitCode::FAILURE
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
            () = leave_up(story, &narrator, &scene) => {}
        }
        narrator.says("ending everything");
    }
    scene.close().await;
    code
}

/// Says how to look at what is there, and waits for ever.
async fn leave_up(story: Story, narrator: &Narrator, scene: &Scene) {
    match story.leave_up(scene).await {
        Ok(looks) => narrator.says(&scene.how_to_look(&looks)),
        Err(error) => narrator.says(&format!("{}\n({error:#})", scene.how_to_look(&[]))),
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
