//! One registrar and one resolver that belong together.

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
    /// Where servers make themselves known.
    pub registrar: Arc<dyn Registrar>,
    /// Where callers look.
    pub resolver: Arc<dyn Resolver>,
    /// How long a deregistration takes to reach callers elsewhere: a draining
    /// server waits this long before it stops accepting.
    pub propagation: Duration,
    /// Whether a server counts as ready while it is not registered: whoever found it
    /// before goes on calling it. Where not, a rollout stops at instances that nobody
    /// finds.
    pub ready_unregistered: bool,
}

impl Registry {
    /// A new registry within this process.
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

    /// The registry of an adapter that implements both ports.
    pub fn of<A: Registrar + Resolver + 'static>(adapter: Arc<A>, propagation: Duration) -> Self {
        Self {
            registrar: Arc::<A>::clone(&adapter),
            resolver: adapter,
            propagation,
            ready_unregistered: true,
        }
    }
}
