//! What every main needs.

use std::{
    env, fmt, io::Write, path::PathBuf, process::ExitCode, sync::mpsc, thread, time::Duration,
};

use crate::Sources;

/// The exit code of a process that refuses how it was started: bad settings, a port
/// or a database that another process has.
pub const EXIT_MISCONFIGURED: u8 = 2;

/// The flags that every service has.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Settings in TOML, on top of the defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Settings as lines GANTRY_KEY=VALUE, below those of --config [default: what the variable
    /// GANTRY_ENV_FILE names]
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

/// Variable that names the file of `--env-file`.
pub(crate) const ENV_FILE: &str = "GANTRY_ENV_FILE";

impl Args {
    /// Adds the files and the variables that the process was started with, in their order:
    /// `--env-file`, `--config`, the environment.
    #[must_use]
    pub fn add_to(&self, sources: Sources) -> Sources {
        let named = || env::var_os(ENV_FILE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let env_file = self.env_file.clone().or_else(named);
        sources.env_file(env_file.as_deref()).file(self.config.as_deref()).environment()
    }
}

/// Longest time that [`complain`] waits for stderr.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes to stderr why the process does not start; returns
/// [`EXIT_MISCONFIGURED`] for main to return.
pub fn refuse(why: &impl fmt::Display) -> ExitCode {
    complain(why);
    ExitCode::from(EXIT_MISCONFIGURED)
}

/// Writes an error to stderr, each of its lines marked as one.
///
/// Returns after a second even if nobody reads a pipe that is full, and does not mind if stderr is closed.
pub fn complain(why: &impl fmt::Display) {
    let (text, (written, wait)) = (lines(why), mpsc::channel());
    let write = move || {
        // Without a reader there is nobody to tell; the exit code remains.
        let _ = std::io::stderr().write_all(text.as_bytes());
        let _ = written.send(());
    };
    // The process ends next, and with it a thread that is stuck.
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = wait.recv_timeout(PATIENCE);
    }
}

/// Each line marked as an error, so that it stands out in a collected log.
fn lines(why: &impl fmt::Display) -> String {
    why.to_string().lines().map(|line| format!("error: {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_is_marked() {
        assert_eq!(super::lines(&"a\nb"), "error: a\nerror: b\n");
    }
}
