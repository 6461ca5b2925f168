//! A service as a process of its own: settings, logs, metrics, admin pages, and a life that
//! ends with the drain.
//!
//! What a team writes is a [`Service`]: how it is opened, what it serves, how it is closed. The
//! process around it is the same for all:
//!
//! ```no_run
//! use std::{convert::Infallible, process::ExitCode};
//!
//! use gantry_config::{Check, Problems};
//! use gantry_discovery::Registry;
//! use gantry_process::{Service, Table};
//! use gantry_server::{BuildError, Server};
//! use gantry_telemetry::Meter;
//! # static CONTRACT: gantry_contract::Contract = gantry_contract::Contract {
//! #     services: &[], roles: &[], permissions: &[], rate_classes: &[], descriptor_set: &[],
//! # };
//!
//! #[derive(Debug, serde::Deserialize, serde::Serialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     server: gantry_server::Settings,
//! }
//!
//! impl Table for Settings {
//!     const NAME: &'static str = "greeter";
//!     const DEFAULTS: &'static str = "
//!         listen = '127.0.0.1:50090'
//!         admin.listen = '127.0.0.1:9190'
//!         discovery.kind = 'memory'
//!         telemetry.format = 'pretty'
//!         greeter.server.weight = 1
//!     ";
//! }
//!
//! impl Check for Settings {
//!     fn check(&self, problems: &mut Problems) {
//!         gantry_process::check_server(&self.server, &CONTRACT, problems);
//!     }
//! }
//!
//! struct Greeter {
//!     settings: Settings,
//!     registry: Registry,
//!     meter: Option<Meter>,
//! }
//!
//! impl Service for Greeter {
//!     type Settings = Settings;
//!     type OpenError = Infallible;
//!
//!     async fn open(
//!         settings: Settings,
//!         registry: Registry,
//!         meter: Option<Meter>,
//!     ) -> Result<Self, Infallible> {
//!         Ok(Self { settings, registry, meter })
//!     }
//!
//!     fn server(&self) -> Result<Server, BuildError> {
//!         Server::builder("greeter", &CONTRACT)
//!             // .service(GreeterServer::new(greeter))
//!             .settings(self.settings.server.clone())
//!             .registry(self.registry.clone())
//!             .meter(self.meter.clone())
//!             .build()
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     gantry_process::run::<Greeter>("Greets")
//! }
//! ```

mod bounds;
mod files;
mod own;
mod plaintext;
mod run;
mod serve;

pub use bounds::{CLIENT_BOUNDS, CLIENTS_BOUNDS, PROCESS_BOUNDS, SAGA_BOUNDS, SERVICE_BOUNDS};
pub use files::FileChecks;
pub use own::{
    ADDING, FilesOf, Own, Table, Together, bounded, check_client, check_identity, check_server,
};
pub use plaintext::check_published_keys;
pub use run::{Shutdown, block_on};
pub use serve::{ServeError, Service, log_origin, run, serve};
