//! One registrar and one resolver that belong together.

use std::{sync::Arc, time::Duration};

use crate::{memory::Memory, registrar::Registrar, resolver::Resolver};

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
