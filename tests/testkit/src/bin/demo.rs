//! The demo: a provider's credential becomes a Secret, on a real API server, told step by step.
//!
//! `PROVIDER` in the environment chooses the provider, `KEEP=1` leaves everything running at the end.
//! It ends with 0 only when every step was verified.

#[path = "../demo/mod.rs"]
mod demo;

fn main() -> std::process::ExitCode {
    demo::main()
}
