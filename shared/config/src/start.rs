//! What every main needs.

use std::{fmt, io::Write, path::PathBuf, process::ExitCode};

/// The exit code of a process that refuses how it was started: bad settings, a port
/// or a database that another process has.
pub const EXIT_MISCONFIGURED: u8 = 2;

/// The flags that every service has.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Settings in TOML, on top of the defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Tells on stderr why the process does not start; returns
/// [`EXIT_MISCONFIGURED`] for main to return.
pub fn refuse(why: &impl fmt::Display) -> ExitCode {
    // Where stderr is closed there is nobody to tell; the exit code remains.
    let _ = write!(std::io::stderr(), "{}", lines(why));
    ExitCode::from(EXIT_MISCONFIGURED)
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
