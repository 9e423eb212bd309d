//! What a process has used, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// In /proc, Linux counts CPU time in hundredths of a second on every architecture it runs on.
const TICKS: u64 = 100;

/// The CPU time that a process has used, its ended threads included.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, which is the second field, is in parentheses and may hold anything.
    let (_, fields) = stat
        .rsplit_once(')')
        .context("no name in /proc/<pid>/stat")?;
    let ticks = |number: usize| -> Result<u64> {
        let field = fields
            .split_whitespace()
            .nth(number)
            .context("too few fields in /proc/<pid>/stat")?;
        Ok(field.parse()?)
    };
    // utime and stime: fields 14 and 15 of proc_pid_stat(5), of which two are gone.
    Ok(Duration::from_millis(
        (ticks(11)? + ticks(12)?) * 1000 / TICKS,
    ))
}

/// The most memory that a process has had, in KiB (VmHWM).
///
/// # Errors
/// When there is no such process.
pub fn peak_memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    line.split_whitespace()
        .next()
        .context("an empty VmHWM")?
        .parse()
        .context("VmHWM")
}

/// Waits until a process has done nothing for half a second, and returns its CPU time.
///
/// # Errors
/// When it has ended.
pub async fn cpu_when_quiet(pid: u32) -> Result<Duration> {
    let mut last = cpu(pid)?;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = cpu(pid)?;
        if now.saturating_sub(last) <= Duration::from_millis(10) {
            return Ok(now);
        }
        last = now;
    }
}
