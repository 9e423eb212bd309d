//! How the story is told: numbered steps on standard output, in colour where a person is looking.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Tells the story.
pub struct Narrator {
    colour: bool,
    step: u32,
    started: Instant,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";
const CYAN: &str = "36";

impl Narrator {
    /// A narrator whose clock starts now.
    pub fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: !plain && std::io::stdout().is_terminal(),
            step: 0,
            started: Instant::now(),
        }
    }

    /// What it is about.
    pub fn title(&self, title: &str) {
        self.print(&self.painted(BOLD, title));
    }

    /// The next step begins.
    pub fn step(&mut self, title: &str) {
        self.step += 1;
        self.print(&self.painted(BOLD, &format!("\n{}. {title}", self.step)));
    }

    /// A remark.
    pub fn says(&self, text: &str) {
        self.indented("   ", text);
    }

    /// A command that is run, as a person would type it.
    pub fn command(&self, command: &str) {
        self.print(&format!(
            "   {}",
            self.painted(CYAN, &format!("$ {command}"))
        ));
    }

    /// What a command printed.
    pub fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            self.print(&self.painted(DIM, &format!("     {line}")));
        }
    }

    /// Something was verified.
    pub fn verified(&self, what: impl Display) {
        self.print(&format!("   {} {what}", self.painted(GREEN, "ok")));
    }

    /// Every step was verified.
    pub fn good_end(&self) {
        let seconds = self.started.elapsed().as_secs();
        let text = format!("\nAll {} steps were verified, in {seconds} s.", self.step);
        self.print(&self.painted(GREEN, &text));
    }

    /// A step went wrong.
    pub fn bad_end(&self, error: &anyhow::Error, log: &str) {
        self.print(&self.painted(RED, &format!("\nStep {} went wrong: {error:#}", self.step)));
        if !log.is_empty() {
            self.says("The end of the operator's log:");
            self.output(log);
        }
    }

    /// Somebody does not want to hear the rest.
    pub fn interrupted(&self) {
        self.print("\nInterrupted; ending everything.");
    }

    fn indented(&self, indent: &str, text: &str) {
        for line in text.lines() {
            self.print(format!("{indent}{line}").trim_end());
        }
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Nobody may be listening any more; the verdict is the exit code.
    fn print(&self, line: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// A length of time as the story tells it.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
