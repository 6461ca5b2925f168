//! A service as a process: settings, logs, metrics, admin pages, start and drain.
//!
//! A team implements [`Service`]: name, needs, `open`, `serve`. [`Base`] has everything else, opened from
//! settings that all services share:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use gantry_contract::Contract;
//! use gantry_process::{Base, NoSettings, OpenError, Service};
//! use gantry_server::ServerBuilder;
//! # static CONTRACT: Contract = Contract {
//! #     services: &[], roles: &[], permissions: &[], rate_classes: &[], descriptor_set: &[],
//! # };
//!
//! struct Greeter;
//!
//! impl Service for Greeter {
//!     const NAME: &'static str = "greeter";
//!     const ABOUT: &'static str = "Greets";
//!     const CONTRACT: Option<&'static Contract> = Some(&CONTRACT);
//!     const DEFAULTS: &'static str = "
//!         listen = '127.0.0.1:50090'
//!         admin.listen = '127.0.0.1:9190'
//!     ";
//!     type Settings = NoSettings;
//!
//!     async fn open(_: &Base, _: NoSettings) -> Result<Self, OpenError> {
//!         Ok(Self)
//!     }
//!
//!     fn serve(&self, server: ServerBuilder) -> ServerBuilder {
//!         server // .service(GreeterServer::new(Greeter))
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     gantry_process::run::<Greeter>()
//! }
//! ```
//!
//! `examples/greeter-caller` is a complete service that calls another one.

mod advertise;
mod base;
mod bounds;
mod channels;
mod command;
mod files;
mod healthcheck;
mod log_level;
mod migrate;
mod open;
mod plaintext;
mod production;
mod run;
mod sagas;
mod serve;
mod service;
mod settings;
mod system;

pub use base::Base;
pub use bounds::{PROCESS_BOUNDS, SERVICE_BOUNDS};
pub use files::FileChecks;
pub use gantry_sql::{Migrations, SharedSecret};
pub use healthcheck::{HealthcheckArgs, Listening, healthcheck};
pub use log_level::{LogSignals, with_log_filter};
pub use migrate::{DownArgs, MigrateCommand};
pub use open::OpenService;
pub use production::weakness;
pub use run::{Shutdown, block_on};
pub use sagas::saga_context;
pub use serve::{ServeError, log_origin, process_name, run, serve};
pub use service::{Callee, KeysApi, OpenError, Service};
pub use settings::{
    ADDING, CommonSettings, NoSettings, OwnSettings, ProcessSettings, Profile, SHARED,
    ServiceSettings, StorageSettings, add_process_defaults, check_telemetry, check_telemetry_files,
};
pub use system::System;
