//! Limits of open calls of health and reflection.
//!
//! They are limited per connection, per source and in total. The first call of each connection is
//! always admitted: a flood must not silence probes, and connections have limits of their own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::Connection;
use crate::{settings::InfrastructureSettings, source::Source};

/// Open calls of health and reflection.
#[derive(Debug)]
pub(crate) struct InfrastructureCalls {
    settings: InfrastructureSettings,
    open: AtomicU32,
    by_source: Mutex<HashMap<Source, u32>>,
}

/// Permit of one open call, released when dropped with the call.
#[derive(Debug)]
pub(crate) struct InfrastructureCall {
    calls: Arc<InfrastructureCalls>,
    connection: Arc<Connection>,
    source: Source,
}

impl InfrastructureCalls {
    pub(crate) fn new(settings: &InfrastructureSettings) -> Self {
        let settings = settings.clone();
        Self { settings, open: AtomicU32::new(0), by_source: Mutex::default() }
    }

    /// Admits a call.
    ///
    /// # Errors
    /// Name of the limit that is reached, as refusals report it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        source: Source,
    ) -> Result<InfrastructureCall, &'static str> {
        let InfrastructureSettings { max_calls, max_per_address, max_per_connection } =
            self.settings;
        let of_connection = connection.standing.begin_infrastructure();
        let all = self.open.fetch_add(1, Ordering::Relaxed);
        let of_source = {
            let mut by_source = self.by_source();
            let count = by_source.entry(source).or_default();
            *count += 1;
            *count - 1
        };
        let call = InfrastructureCall {
            calls: Arc::clone(self),
            connection: Arc::clone(connection),
            source,
        };
        match () {
            () if of_connection == 0 => Ok(call),
            () if of_connection >= max_per_connection => Err("connection"),
            () if of_source >= max_per_address => Err("address"),
            () if all >= max_calls => Err("infrastructure"),
            () => Ok(call),
        }
    }

    fn by_source(&self) -> MutexGuard<'_, HashMap<Source, u32>> {
        self.by_source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InfrastructureCall {
    fn drop(&mut self) {
        self.connection.standing.end_infrastructure();
        self.calls.open.fetch_sub(1, Ordering::Relaxed);
        let mut by_source = self.calls.by_source();
        if let Some(count) = by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::source_of;

    fn calls() -> Arc<InfrastructureCalls> {
        let settings =
            InfrastructureSettings { max_per_connection: 2, max_per_address: 3, max_calls: 4 };
        Arc::new(InfrastructureCalls::new(&settings))
    }

    fn source(host: u8) -> Source {
        source_of(std::net::Ipv4Addr::new(192, 0, 2, host).into())
    }

    #[test]
    fn calls_are_limited_per_connection_address_and_server() {
        let calls = calls();
        let connections: Vec<_> = (0..6).map(|_| Arc::new(Connection::any())).collect();
        let admit = |connection: usize, host| calls.admit(&connections[connection], source(host));
        let mut held = vec![admit(0, 1).unwrap(), admit(0, 1).unwrap()];
        assert_eq!(admit(0, 1).unwrap_err(), "connection");
        held.push(admit(1, 1).unwrap());
        assert_eq!(admit(1, 1).unwrap_err(), "address");
        held.push(admit(2, 2).unwrap());
        assert_eq!(admit(2, 2).unwrap_err(), "infrastructure");
        // A connection without a call is admitted.
        held.push(admit(3, 1).unwrap());
        held.push(admit(4, 3).unwrap());
        held.clear();
        assert_eq!(calls.open.load(Ordering::Relaxed), 0);
        assert!(calls.by_source().is_empty());
        assert!(admit(0, 1).is_ok());
    }
}
