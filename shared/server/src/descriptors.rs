//! Open files (descriptors): each connection needs one, and their number per process is limited.
//!
//! A process without free descriptors can neither accept connections, open its database nor serve
//! its admin pages. So the connection limit is derived from the limit of open files less a reserve,
//! or checked against it.

use crate::settings::{ConnectionSettings, DEFAULT_MAX};

/// Number of descriptors reserved for everything except callers' connections: 100 for the admin
/// pages, the rest for databases, outgoing connections, logs, the runtime and closing connections.
const RESERVED: u64 = 320;

/// Minimum number of connections; with fewer the process does not start.
const MIN: u32 = 16;

/// Error if the limit of open files is too low for the connections of all servers of a process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the process may open {limit} files, which is too few for {connections} connections and \
     {RESERVED} other files: raise the limit (ulimit -n) to {} or more, or lower connections.max",
    connections.saturating_add(RESERVED)
)]
pub struct TooFewFiles {
    /// Soft limit of open files.
    pub limit: u64,
    /// Connections of all servers of the process, according to `connections.max`.
    pub connections: u64,
}

/// Limit of open files of this process.
#[derive(Clone, Copy, Debug)]
pub struct OpenFiles {
    /// `None` if unlimited.
    limit: Option<u64>,
}

impl OpenFiles {
    /// Returns the current limit.
    pub fn current() -> Self {
        Self { limit: limit() }
    }

    /// Raises the soft limit to the hard limit, as far as the system permits. Call it when a
    /// process starts: the usual soft limit of 1,024 is meant for programs that use `select`.
    pub fn raise() -> Self {
        raise();
        Self::current()
    }

    /// Sets [`ConnectionSettings::max`] of the servers of a process that leave it unset. Takes the
    /// settings of each server with the number of its replicas.
    ///
    /// # Errors
    /// [`TooFewFiles`] if the configured connections do not fit, or fewer than 16 would be left.
    pub fn share<'a>(
        self,
        servers: impl IntoIterator<Item = (&'a mut ConnectionSettings, u64)>,
    ) -> Result<(), TooFewFiles> {
        let (set, unset): (Vec<_>, Vec<_>) =
            servers.into_iter().partition(|(settings, _)| settings.max.is_some());
        let set = set.iter().map(|(settings, replicas)| {
            u64::from(settings.max.unwrap_or_default()).saturating_mul(*replicas)
        });
        let set = set.fold(0, u64::saturating_add);
        let sharing: u64 = unset.iter().map(|(_, replicas)| replicas).sum();
        let least = set.saturating_add(u64::from(MIN).saturating_mul(sharing));
        let available = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED));
        if let Some(limit) = self.limit
            && least > available
        {
            return Err(TooFewFiles { limit, connections: least });
        }
        let left = available.saturating_sub(set);
        for (settings, _) in unset {
            let share = u32::try_from(left / sharing).unwrap_or(u32::MAX);
            settings.max = Some(share.min(DEFAULT_MAX));
        }
        Ok(())
    }
}

#[cfg(unix)]
fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(unix)]
fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        // Continue with the current limit.
        tracing::warn!(%error, ?current, ?maximum, "cannot raise the limit of open files");
    }
}

#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}

#[cfg(not(unix))]
fn raise() {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the connections of each server, given its setting and its replicas.
    fn shared(limit: Option<u64>, servers: &[(Option<u32>, u64)]) -> Result<Vec<u32>, TooFewFiles> {
        let settings = |max| ConnectionSettings { max, ..ConnectionSettings::default() };
        let mut all: Vec<_> = servers.iter().map(|(max, _)| settings(*max)).collect();
        let replicas = servers.iter().map(|(_, replicas)| *replicas);
        OpenFiles { limit }.share(all.iter_mut().zip(replicas))?;
        Ok(all.iter().map(|settings| settings.max.unwrap()).collect())
    }

    #[test]
    fn the_connection_limit_follows_from_open_files() {
        let free = |connections: u64| Some(connections + RESERVED);
        assert_eq!(shared(None, &[(None, 1)]), Ok(vec![1000]));
        assert_eq!(shared(Some(1 << 20), &[(None, 1), (None, 2)]), Ok(vec![1000, 1000]));
        assert_eq!(shared(Some(1024), &[(None, 1)]), Ok(vec![704]));
        assert_eq!(shared(free(600), &[(None, 1), (None, 2)]), Ok(vec![200, 200]));
        assert_eq!(shared(free(600), &[(Some(300), 1), (None, 2)]), Ok(vec![300, 150]));
        assert_eq!(shared(free(16), &[(None, 1)]), Ok(vec![16]));
        assert_eq!(shared(None, &[(Some(u32::MAX), u64::MAX)]), Ok(vec![u32::MAX]));
    }

    #[test]
    fn connections_that_do_not_fit_are_refused_with_both_numbers() {
        let refused = |limit, servers: &[_]| shared(Some(limit), servers).unwrap_err();
        assert_eq!(refused(1024, &[(Some(2000), 2)]).connections, 4000);
        assert_eq!(refused(1024, &[(Some(600), 1), (None, 7)]).connections, 600 + 7 * 16);
        assert_eq!(refused(0, &[(None, 1)]).connections, 16);
        let text = refused(1024, &[(Some(1000), 1)]).to_string();
        for number in ["1024 files", "1000 connections", "1320 or more"] {
            assert!(text.contains(number), "{text}");
        }
        assert_eq!(refused(u64::MAX, &[(Some(u32::MAX), u64::MAX)]).connections, u64::MAX);
    }

    #[cfg(unix)]
    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        OpenFiles::raise();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
