//! How servers make themselves known and how callers find them.
//!
//! Two ports: a [`Registrar`] takes an [`Instance`] and gives a [`Registration`]
//! that lives until it is dropped; a [`Resolver`] gives a [`Watch`] on a service,
//! whose [`EndpointSet`] is complete each time. A [`Registry`] is one of each.
//!
//! The adapter for Consul needs the feature `consul`: a process that uses another one links no HTTP
//! client for it.
//!
//! Rules that hold for every adapter:
//! - watching never fails and never hangs: a service nobody knows is an empty set;
//! - a registry that is out of reach keeps the last good set, and [`Status`] says so;
//! - an address that is written in two ways is one endpoint, and so is an address beside a host
//!   name that leads to it; a registration that gives no endpoint is told ([`Watched::left_out`]);
//! - watchers are told of differences only, and all watches of a service in a process
//!   share one source;
//! - a registration is kept alive by the adapter, and ends bounded in time.
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
