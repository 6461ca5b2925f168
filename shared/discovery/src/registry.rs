//! A registrar and a resolver of the same registry.

use std::{sync::Arc, time::Duration};

use crate::{
    memory::Memory,
    registrar::Registrar,
    resolver::Resolver,
    static_list::{DEFAULT_REFRESH, InvalidList, StaticList},
};

/// Time that a deregistration takes to reach callers in other processes.
pub(crate) const PROPAGATION: Duration = Duration::from_secs(2);

/// Both ports of one registry. Clones share it.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Port for the registration of servers.
    pub registrar: Arc<dyn Registrar>,
    /// Port for the lookup by callers.
    pub resolver: Arc<dyn Resolver>,
    /// Time that a deregistration takes to reach callers in other processes. A draining server
    /// waits this long before it stops accepting calls.
    pub propagation: Duration,
    /// True if an unregistered server counts as ready, because callers that have found it still
    /// call it. If false, a rollout stops at instances that callers cannot find.
    pub ready_unregistered: bool,
}

impl Registry {
    /// Returns a new registry in memory, for this process only.
    pub fn memory() -> Self {
        Self::of(Arc::new(Memory::new()), Duration::ZERO)
    }

    /// Returns a registry of fixed endpoints: `HOST:PORT` entries by service. Names are looked
    /// up again every 10 s.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use gantry_discovery::Registry;
    ///
    /// let registry = Registry::fixed([("user", ["127.0.0.1:50051"])])?;
    /// assert_eq!(registry.resolver.watch("user").current().len(), 1);
    /// # Ok::<_, gantry_discovery::static_list::InvalidList>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`InvalidList`] with the first entry that is not `HOST:PORT`.
    pub fn fixed(
        services: impl IntoIterator<
            Item = (impl Into<String>, impl IntoIterator<Item = impl Into<String>>),
        >,
    ) -> Result<Self, InvalidList> {
        let services = services.into_iter().map(|(service, entries)| {
            (service.into(), entries.into_iter().map(Into::into).collect())
        });
        let list = StaticList::new(&services.collect(), DEFAULT_REFRESH)?;
        Ok(Self::of(Arc::new(list), PROPAGATION))
    }

    /// Returns the registry of an adapter that implements both ports.
    pub fn of<A: Registrar + Resolver + 'static>(adapter: Arc<A>, propagation: Duration) -> Self {
        Self {
            registrar: Arc::<A>::clone(&adapter),
            resolver: adapter,
            propagation,
            ready_unregistered: true,
        }
    }
}
