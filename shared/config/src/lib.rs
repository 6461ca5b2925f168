//! Settings from several sources. All problems are reported at once.
//!
//! Later sources override earlier ones, key by key:
//!
//! 1. the built-in defaults of a service ([`Sources::defaults`]), then variables of other products that
//!    stand for a setting ([`Sources::foreign`]);
//! 2. the `.env` file named by `--env-file` or the variable `GANTRY_ENV_FILE`
//!    ([`Sources::env_file`]); no other one is read;
//! 3. `--config FILE` ([`Sources::file`]);
//! 4. the environment: `GANTRY_` and the key, levels separated by two underscores
//!    ([`Sources::environment`]): `GANTRY_SERVER__LISTEN` is `server.listen`. An empty variable
//!    counts as unset;
//! 5. flags ([`Sources::set`]).
//!
//! In a variable, numbers, booleans and lists have their TOML form: `4`, `true`, `["a", "b"]`. A
//! [`Secret`] can also come from a file: `password_file = "/run/secrets/db"` for `password`, or the
//! variable `GANTRY_DATABASE__PASSWORD_FILE`.
//!
//! Settings control the process, so a settings file that anyone besides root and the process's own
//! user can write to is rejected. Variables that Kubernetes or Docker create for a service named
//! `gantry` (`GANTRY_PORT=tcp://...`) are ignored and listed in [`Origin::service_links`].
//!
//! An unknown key of any source is an error: otherwise a misspelt setting would silently have no
//! effect. [`load`] reports every problem with key, source and expected value.
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
//!     "workres: unknown key, expected one of listen, workers (variable GANTRY_WORKRES)"
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
