//! Registry in memory, for one process: `gantry up` and tests.
//!
//! Every watcher sees a change before `register` or the drop of a [`Registration`] returns.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{
    instance::{Endpoint, EndpointSet, Instance},
    registrar::{RegisterError, Registrar, Registration, RegistrationState},
    resolver::{Publisher, Resolver, Watch, Watched},
};

/// A registry in memory. Clones share its content.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    services: Mutex<HashMap<String, Service>>,
}

#[derive(Debug, Default)]
struct Service {
    publisher: Publisher,
    /// Endpoints in the order of registration, so that a later one replaces an earlier one at the
    /// same address.
    instances: BTreeMap<u64, Endpoint>,
    next: u64,
}

impl Memory {
    /// Creates an empty registry.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Shared {
    fn services(&self) -> MutexGuard<'_, HashMap<String, Service>> {
        // No code under this lock can panic, so the data is consistent.
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    fn publish(&self) {
        self.publisher.publish(self.instances.values().cloned().collect::<EndpointSet>());
    }
}

#[async_trait]
impl Registrar for Memory {
    async fn register(&self, instance: Instance) -> Result<Registration, RegisterError> {
        instance.validate()?;
        let endpoint = instance.endpoint();
        let name = instance.service;
        let mut services = self.shared.services();
        let service = services.entry(name.clone()).or_default();
        let key = service.next;
        service.next += 1;
        service.instances.insert(key, endpoint);
        service.publish();
        drop(services);

        let shared = Arc::clone(&self.shared);
        let release = move || {
            if let Some(service) = shared.services().get_mut(&name) {
                service.instances.remove(&key);
                service.publish();
            }
            std::future::ready(())
        };
        Ok(Registration::new(|| RegistrationState::Registered, release))
    }
}

impl Resolver for Memory {
    fn watch(&self, service: &str) -> Watch {
        let mut services = self.shared.services();
        let service = services.entry(service.to_owned()).or_default();
        // An unknown service is certainly empty, because there is no other source.
        service.publish();
        let owner: Arc<dyn Any + Send + Sync> = Arc::<Shared>::clone(&self.shared);
        service.publisher.watch(owner)
    }

    fn watched(&self) -> BTreeMap<String, Watched> {
        let services = self.shared.services();
        let watched = services.iter().filter(|(_, service)| service.publisher.is_watched());
        watched.map(|(name, service)| (name.clone(), service.publisher.watched())).collect()
    }
}
