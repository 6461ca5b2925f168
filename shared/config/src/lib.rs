//! Settings from several sources, refused all at once where they are wrong.
//!
//! Later sources override earlier ones, key by key:
//!
//! 1. the defaults a service is built with ([`Sources::defaults`]);
//! 2. the `.env` file that `--env-file` or the variable `GANTRY_ENV_FILE` names
//!    ([`Sources::env_file`]); none is read unless it is named;
//! 3. `--config FILE` ([`Sources::file`]);
//! 4. the environment: `GANTRY_` and the key, levels parted by two underscores
//!    ([`Sources::environment`]): `GANTRY_SERVER__LISTEN` is `server.listen`; an empty variable
//!    counts as not set;
//! 5. flags ([`Sources::set`]).
//!
//! Numbers, switches and lists are written in a variable as in TOML: `4`, `true`,
//! `["a", "b"]`. A [`Secret`] can be given as the name of a file that holds it:
//! `password_file = "/run/secrets/db"` for `password`, or the variable
//! `GANTRY_DATABASE__PASSWORD_FILE`.
//!
//! Files of settings decide what a process does: one that somebody besides root and its own user
//! can change is refused. Variables that Kubernetes or Docker make for a service named `gantry`
//! (`GANTRY_PORT=tcp://...`) are passed over and reported in [`Origin::service_links`].
//!
//! An unknown key is an error, whatever it comes from: a setting that is misspelt
//! would otherwise silently not hold. [`load`] reports every problem it finds, each
//! with its key, its source and what was expected.
//!
//! ```
//! use gantry_config::{Check, Problems, Sources};
//!
//! #[derive(Debug, serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     listen: std::net::SocketAddr,
//!     workers: usize,
//! }
//!
//! impl Check for Settings {
//!     fn check(&self, problems: &mut Problems) {
//!         if self.workers == 0 {
//!             problems.expected("workers", "at least 1");
//!         }
//!     }
//! }
//!
//! let defaults = "listen = '127.0.0.1:50051'\nworkers = 2";
//! let sources = Sources::new().defaults(defaults).variables([("GANTRY_WORKERS", "4")]);
//! let settings: Settings = gantry_config::load(sources)?;
//! assert_eq!(settings.workers, 4);
//!
//! let sources = Sources::new().defaults(defaults).variables([("GANTRY_WORKRES", "4")]);
//! let error = gantry_config::load::<Settings>(sources).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "workres: unknown key, known here are listen, workers (variable GANTRY_WORKRES)"
//! );
//! # Ok::<(), gantry_config::ConfigError>(())
//! ```

mod bounds;
mod command;
mod dotenv;
mod links;
mod load;
mod origin;
mod problem;
mod schema;
mod secret;
mod source;
mod start;
mod text;
mod tree;

pub use bounds::{Bound, Range};
pub use command::{ConfigCommand, ShowArgs};
pub use load::{Loaded, load, load_shown};
pub use origin::Origin;
pub use problem::{Check, ConfigError, Problem, Problems};
pub use schema::schema;
pub use secret::Secret;
pub use source::Sources;
pub use start::{Args, EXIT_MISCONFIGURED, complain, refuse};
pub use text::Text;
