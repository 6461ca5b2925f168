//! Flags, exit code and error output of a process.

use std::{
    env, fmt, io::Write, path::PathBuf, process::ExitCode, sync::mpsc, thread, time::Duration,
};

use crate::Sources;

/// Exit code of a failed start: invalid settings, or a port or database in use by another process.
pub const EXIT_MISCONFIGURED: u8 = 2;

/// Flags of every service.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Settings file in TOML; overrides the defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Settings file with lines GANTRY_KEY=VALUE; --config overrides it [default: the file named by
    /// the variable GANTRY_ENV_FILE]
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

/// Variable with the default of `--env-file`.
pub(crate) const ENV_FILE: &str = "GANTRY_ENV_FILE";

impl Args {
    /// Adds the sources of a start, in order of precedence: `--env-file`, `--config`, the environment.
    #[must_use]
    pub fn add_to(&self, sources: Sources) -> Sources {
        let named = || env::var_os(ENV_FILE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let env_file = self.env_file.clone().or_else(named);
        sources.env_file(env_file.as_deref()).file(self.config.as_deref()).environment()
    }
}

/// Longest wait of [`complain`] for stderr.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes the reason of a failed start to stderr. Returns [`EXIT_MISCONFIGURED`], for `main` to return.
pub fn refuse(why: &impl fmt::Display) -> ExitCode {
    complain(why);
    ExitCode::from(EXIT_MISCONFIGURED)
}

/// Writes an error to stderr, with the prefix `error: ` on each line.
///
/// Returns after a second even if stderr is a full pipe without a reader. A closed stderr is ignored.
pub fn complain(why: &impl fmt::Display) {
    let (text, (written, wait)) = (lines(why), mpsc::channel());
    let write = move || {
        // Without a reader, only the exit code reports the error.
        let _ = std::io::stderr().write_all(text.as_bytes());
        let _ = written.send(());
    };
    // The process ends next, and a stuck thread with it.
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = wait.recv_timeout(STDERR_TIMEOUT);
    }
}

/// Prefixes each line, so that errors stand out in collected logs.
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
