//! Service discovery: registration of servers and lookup by callers.
//!
//! There are two ports. A [`Registrar`] registers an [`Instance`] and returns a [`Registration`],
//! which ends when it is dropped. A [`Resolver`] returns a [`Watch`] of a service with its current
//! [`EndpointSet`]. A [`Registry`] has both.
//!
//! The Consul adapter needs the feature `consul`. Without it, a process links no HTTP client for
//! Consul.
//!
//! Rules for all adapters:
//! - Watching neither fails nor blocks. An unknown service has an empty set.
//! - While the registry is unreachable, the last set stays in use, and [`Status`] reports it.
//! - Different spellings of an address are one endpoint. A host name that resolves to a listed
//!   address adds no endpoint. A registration without an endpoint is reported
//!   ([`Watched::unusable`]).
//! - Watchers are notified only of changes. All watches of a service in a process share one source.
//! - The adapter keeps a registration alive. Ending it takes a limited time.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use gantry_discovery::{Instance, Registry};
//!
//! let registry = Registry::memory();
//! let mut users = registry.resolver.watch("user");
//! let instance = Instance::new("user", "127.0.0.1:50051".parse().unwrap());
//! let registration = registry.registrar.register(instance).await.unwrap();
//! users.changed().await;
//! assert_eq!(users.current().len(), 1);
//! registration.deregister().await;
//! assert!(users.current().is_empty());
//! # });
//! ```

#[cfg(feature = "consul")]
pub mod consul;
mod instance;
mod loopback;
pub mod memory;
mod names;
mod registrar;
mod registry;
mod resolver;
mod settings;
mod source;
pub mod static_list;

pub use instance::{Endpoint, EndpointSet, GANTRY_SERVER, Instance, InvalidInstance, SERVER_META};
pub use loopback::is_loopback;
pub use registrar::{RegisterError, Registrar, Registration, RegistrationState};
pub use registry::Registry;
pub use resolver::{Publisher, Resolver, Status, Watch, Watched};
pub use settings::{Kind, Settings, SettingsError};
