//! What the operator costs, measured against a program that does the least that can be done.
//!
//! ```text
//! cargo build --release --workspace --bins && target/release/bench
//! ```

#[path = "../bench/mod.rs"]
mod bench;

fn main() -> std::process::ExitCode {
    bench::main()
}
