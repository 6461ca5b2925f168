//! Table of the suite's services.
//!
//! Settings, ports, flags, keys, drain order, banner and admin pages come from it. To add a service, add a
//! row.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    process::ExitCode,
};

use gantry_config::{Check, Problems, Sources};
use gantry_discovery::Registry;
use gantry_process::{
    Callee, MigrateCommand, OpenError, OpenService, Service, ServiceSettings, Shutdown,
};
use gantry_server::{Admin, BuildError, HostName, Server};
use gantry_telemetry::Meter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::cli::UpArgs;

/// Row of the table: a service of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name in the registry and in settings.
    pub name: &'static str,
    /// Port of its first replica, before any offset.
    pub port: u16,
    /// Services that it needs to answer calls: it is drained and closed before them.
    pub needs: &'static [Callee],
    /// True if it has a database, and the settings for one.
    pub has_database: bool,
    /// True if it has request records, and the settings for them.
    pub has_requests: bool,
    /// The whole `main` of its binary.
    pub run: fn() -> ExitCode,
}

/// Expected profile of a suite.
#[doc(hidden)]
pub const DEVELOPMENT: &str = "development: this process creates keys and a password, and its services \
                               listen on loopback addresses. In production run each service's own binary";

/// Port of the admin pages of all services, before any offset.
pub const ADMIN_PORT: u16 = 9100;

/// Distance between the ports of two replicas.
const REPLICA_STEP: u16 = 100;

/// Error of a port above 65535.
#[derive(Debug, thiserror::Error)]
#[error("the port of {service} would be {port}: --port-offset is too large")]
pub struct TooLarge {
    service: &'static str,
    port: u32,
}

impl Row {
    /// Returns the row of a service.
    pub const fn of<S: Service>(port: u16) -> Self {
        let has_database = S::MIGRATIONS.is_some();
        let has_requests = has_database && S::CONTRACT.is_some();
        let run = gantry_process::run::<S>;
        Self { name: S::NAME, port, needs: S::CALLS, has_database, has_requests, run }
    }

    /// Returns the loopback address of a replica; the first replica is 0.
    ///
    /// # Errors
    /// [`TooLarge`] if there is no such port.
    pub fn address(self, replica: u16, offset: u16) -> Result<SocketAddr, TooLarge> {
        address(self.name, self.port, replica, offset)
    }

    fn needs(self, other: Self) -> bool {
        self.needs.iter().any(|callee| callee.name == other.name)
    }
}

/// Returns the loopback address of the admin pages.
///
/// # Errors
/// [`TooLarge`] if there is no such port.
pub fn admin_address(offset: u16) -> Result<SocketAddr, TooLarge> {
    address("admin", ADMIN_PORT, 0, offset)
}

fn address(
    service: &'static str,
    port: u16,
    replica: u16,
    offset: u16,
) -> Result<SocketAddr, TooLarge> {
    let port = u32::from(port) + u32::from(offset) + u32::from(replica) * u32::from(REPLICA_STEP);
    let port = u16::try_from(port).map_err(|_| TooLarge { service, port })?;
    Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

/// Returns the drain order: groups of services that no service of a later group needs.
/// Services that need each other are in the last group.
pub fn drain_order(services: &[Row]) -> Vec<Vec<Row>> {
    let mut left = services.to_vec();
    let mut groups = Vec::new();
    while !left.is_empty() {
        let needed =
            |row: &Row| left.iter().any(|other| other.name != row.name && other.needs(*row));
        let (later, group): (Vec<_>, Vec<_>) = left.iter().copied().partition(needed);
        if group.is_empty() {
            groups.push(left);
            break;
        }
        groups.push(group);
        left = later;
    }
    groups
}

/// Settings of the admin pages; their port follows from `--port-offset`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// Host names that the pages accept, besides IP addresses and `localhost`.
    pub hosts: Vec<HostName>,
}

/// Settings of a suite: its own keys, and a table for each service.
pub trait SuiteSettings: Check + DeserializeOwned + JsonSchema + Serialize {
    /// The services.
    const SERVICES: &'static [Row];

    /// Adds the defaults and bounds of every service's table.
    fn add_defaults(sources: Sources) -> Sources;

    /// Returns the settings of logs, traces and metrics.
    fn telemetry(&self) -> &gantry_telemetry::Settings;

    /// Returns the table of each service.
    fn tables(&self) -> Vec<(Row, &dyn Table)>;

    /// Returns the table of each service, to be changed.
    fn tables_mut(&mut self) -> Vec<(Row, &mut dyn Table)>;
}

/// Settings of any service.
pub trait Table {
    /// Adds the problems of the values to `problems`.
    fn check(&self, discovery: &gantry_discovery::Settings, problems: &mut Problems);

    /// Adds the problems of the files to `problems`. Files in `made` may be missing.
    fn check_files(&self, made: &[PathBuf], problems: &mut Problems);

    /// Runs `migrate` on its database. Returns the exit code.
    fn migrate<'a>(
        &'a self,
        command: &'a MigrateCommand<UpArgs>,
        shutdown: Shutdown,
    ) -> Pin<Box<dyn Future<Output = ExitCode> + 'a>>;

    /// Returns the settings of its servers.
    fn server(&self) -> &gantry_server::Settings;

    /// Returns the settings of its servers, to be changed.
    fn server_mut(&mut self) -> &mut gantry_server::Settings;
}

impl<S: Service> Table for ServiceSettings<S> {
    fn check(&self, discovery: &gantry_discovery::Settings, problems: &mut Problems) {
        self.check(discovery, problems);
    }

    fn check_files(&self, made: &[PathBuf], problems: &mut Problems) {
        self.check_files(made, problems);
    }

    fn migrate<'a>(
        &'a self,
        command: &'a MigrateCommand<UpArgs>,
        shutdown: Shutdown,
    ) -> Pin<Box<dyn Future<Output = ExitCode> + 'a>> {
        Box::pin(self.migrate(command, shutdown))
    }

    fn server(&self) -> &gantry_server::Settings {
        &self.common.server
    }

    fn server_mut(&mut self) -> &mut gantry_server::Settings {
        &mut self.common.server
    }
}

/// Any open service.
pub trait Member: Send + Sync {
    /// Builds one more server.
    ///
    /// # Errors
    /// [`BuildError`] if the settings are invalid for a server.
    fn server(&self) -> Result<Server, BuildError>;

    /// Adds the services that it calls to the page `/endpoints`.
    fn register_admin(&self, admin: Admin) -> Admin;

    /// Closes it.
    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<S: Service> Member for OpenService<S> {
    fn server(&self) -> Result<Server, BuildError> {
        self.server()
    }

    fn register_admin(&self, admin: Admin) -> Admin {
        self.register_admin(admin)
    }

    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin((*self).close())
    }
}

/// Opens a service. The error has its row.
#[doc(hidden)]
pub async fn open<S: Service>(
    row: Row,
    settings: ServiceSettings<S>,
    registry: &Registry,
    meter: &Meter,
) -> Result<OpenService<S>, (Row, OpenError)> {
    let open = OpenService::open(settings, registry.clone(), Some(meter.clone()));
    open.await.map_err(|error| (row, error))
}

/// Compares two names in a constant.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Generates the items that have a type for each service of the table.
macro_rules! suite {
    ($($(#[$doc:meta])* $row:ident = $table:ident: $service:ty, port $port:literal;)+) => {
        $($(#[$doc])* pub const $row: $crate::suite::Row = $crate::suite::Row::of::<$service>($port);)+

        /// Services in the order of the banner.
        pub const SERVICES: &[$crate::suite::Row] = &[$($row),+];

        $(const _: () = assert!(
            $crate::suite::same(stringify!($table), $row.name),
            "a row's table of settings has the name of its service"
        );)+

        /// Settings of the suite, from files, the environment and flags.
        #[derive(Debug, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Settings {
            /// Strictness of the checks at start.
            pub profile: gantry_process::Profile,
            /// Admin pages.
            pub admin: $crate::suite::AdminSettings,
            /// Registry in which the services find each other.
            pub discovery: gantry_discovery::Settings,
            /// Logs, traces and metrics of the whole process.
            pub telemetry: gantry_telemetry::Settings,
            $($(#[$doc])* pub $table: gantry_process::ServiceSettings<$service>,)+
        }

        impl gantry_config::Check for Settings {
            fn check(&self, problems: &mut gantry_config::Problems) {
                if self.profile == gantry_process::Profile::Production {
                    problems.expected("profile", $crate::suite::DEVELOPMENT);
                }
                for problem in self.discovery.problems() {
                    problems.add(&format!("discovery.{}", problem.key), problem.why);
                }
                gantry_process::check_telemetry(&self.telemetry, problems);
                $(self.$table.check(&self.discovery, problems);)+
            }
        }

        impl $crate::suite::SuiteSettings for Settings {
            const SERVICES: &'static [$crate::suite::Row] = SERVICES;

            fn add_defaults(sources: gantry_config::Sources) -> gantry_config::Sources {
                $(let sources = gantry_process::ServiceSettings::<$service>::add_to(sources);)+
                sources
            }

            fn telemetry(&self) -> &gantry_telemetry::Settings {
                &self.telemetry
            }

            fn tables(&self) -> Vec<($crate::suite::Row, &dyn $crate::suite::Table)> {
                vec![$(($row, &self.$table)),+]
            }

            fn tables_mut(&mut self) -> Vec<($crate::suite::Row, &mut dyn $crate::suite::Table)> {
                vec![$(($row, &mut self.$table)),+]
            }
        }

        /// All open services.
        pub struct Services {
            $($(#[$doc])* pub $table: gantry_process::OpenService<$service>,)+
        }

        impl Services {
            /// Opens all services concurrently, since each waits for its disk.
            ///
            /// # Errors
            /// Row of the first service that does not open, and the cause.
            pub async fn open(
                settings: Settings,
                registry: &gantry_discovery::Registry,
                meter: &gantry_telemetry::Meter,
            ) -> Result<Self, ($crate::suite::Row, gantry_process::OpenError)> {
                let ($($table,)+) = tokio::try_join!(
                    $($crate::suite::open($row, settings.$table, registry, meter)),+
                )?;
                Ok(Self { $($table),+ })
            }

            /// Returns all services.
            pub fn members(&self) -> Vec<($crate::suite::Row, &dyn $crate::suite::Member)> {
                vec![$(($row, &self.$table)),+]
            }

            /// Closes all services in drain order.
            pub async fn close(self) {
                let mut members: Vec<($crate::suite::Row, Box<dyn $crate::suite::Member>)> =
                    vec![$(($row, Box::new(self.$table))),+];
                for row in $crate::suite::drain_order(SERVICES).into_iter().flatten() {
                    while let Some(at) = members.iter().position(|(of, _)| of.name == row.name) {
                        members.swap_remove(at).1.close().await;
                    }
                }
            }
        }
    };
}

#[cfg(test)]
pub(crate) use suite;

suite! {
    /// Users and their tokens.
    USER = user: gantry_user::Service, port 50051;
    /// Orders.
    ORDER = order: gantry_order::Service, port 50052;
    /// Products and stock.
    INVENTORY = inventory: gantry_inventory::Service, port 50053;
}

/// Names of the services.
pub const NAMES: [&str; SERVICES.len()] = {
    let mut names = [""; SERVICES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = SERVICES[at].name;
        at += 1;
    }
    names
};

#[cfg(test)]
mod tests {
    use gantry_proto::CONTRACT;

    use super::*;

    #[test]
    fn replicas_stand_a_hundred_apart() {
        assert_eq!(USER.address(2, 1000).unwrap().port(), 51251);
    }

    #[test]
    fn a_port_above_65535_is_an_error_with_its_service() {
        let error = INVENTORY.address(0, 20_000).unwrap_err();
        assert!(error.to_string().contains("inventory would be 70053"), "{error}");
    }

    #[test]
    fn services_are_drained_before_those_that_they_need() {
        let names = |services: &[Row]| {
            let names = |group: Vec<Row>| group.iter().map(|row| row.name).collect::<Vec<_>>();
            drain_order(services).into_iter().map(names).collect::<Vec<_>>()
        };
        assert_eq!(names(SERVICES), [vec!["order"], vec!["user", "inventory"]]);
        // A circle has no order, and still ends.
        const ORDERS: &[Callee] = &[Callee { name: "order", contract: &CONTRACT }];
        let user = Row { needs: ORDERS, ..USER };
        let circle = [user, ORDER, INVENTORY];
        assert_eq!(names(&circle), [vec!["user", "order", "inventory"]]);
    }
}
