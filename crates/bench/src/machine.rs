//! What the figures were taken on, and when.

use std::path::Path;
use std::process::Command;

/// Load of the last minute: processes that run or want to.
pub(crate) fn load_average() -> f64 {
    std::fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|line| line.split(' ').next()?.parse().ok())
        .unwrap_or(f64::NAN)
}

/// Processor, cores, memory, kernel.
pub(crate) fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cpu =
        field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".into());
    let kib: u64 = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|size| size.split(' ').next()?.parse().ok())
        .unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{cpu}, {cores} cores, {} GiB, Linux {}",
        kib >> 20,
        kernel.trim()
    )
}

/// Today, UTC, as `2026-01-31`.
pub(crate) fn date() -> String {
    said(Command::new("date").args(["-u", "+%F"])).unwrap_or_else(|| "unknown".into())
}

/// The commit of the tree; a `+` says that one of `paths` differs from it.
pub(crate) fn commit(repository: &Path, paths: &[&str]) -> String {
    let git = |arguments: &[&str]| {
        said(
            Command::new("git")
                .arg("-C")
                .arg(repository)
                .args(arguments),
        )
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".into();
    };
    let status: Vec<_> = ["status", "--porcelain", "--"]
        .iter()
        .chain(paths)
        .copied()
        .collect();
    let changed = git(&status).is_none_or(|lines| !lines.is_empty());
    if changed {
        format!("{commit}+")
    } else {
        commit
    }
}

/// What a command says on its standard output, if it succeeds.
pub(crate) fn said(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
