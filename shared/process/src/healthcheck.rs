//! `healthcheck` of a service's command line.

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use gantry_server::{ServerTls, check_health};
use tokio::{task::JoinSet, time::timeout};

use crate::Shutdown;

/// Flags of `healthcheck`. `A` has the flags of `serve`.
#[derive(Clone, Debug, Args)]
pub struct HealthcheckArgs<A: Args> {
    /// Time within which the service must answer
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Flags of `serve`.
    #[command(flatten)]
    pub serve: A,
}

/// Server that should be listening, according to its settings.
#[derive(Clone, Debug)]
pub struct Listening {
    service: &'static str,
    address: SocketAddr,
    tls: Option<ServerTls>,
}

impl Listening {
    /// Returns the server of a service with these settings. If it listens on all addresses, it is
    /// called at the loopback address.
    pub fn new(
        service: &'static str,
        listen: SocketAddr,
        settings: &gantry_server::Settings,
    ) -> Self {
        let ip = match listen.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let address = SocketAddr::new(ip, listen.port());
        Self { service, address, tls: settings.tls.clone() }
    }

    /// Returns the reason if the server is not serving.
    async fn check(self, limit: Duration) -> Result<(), String> {
        let Self { service, address, tls } = self;
        if address.port() == 0 {
            return Err(format!("{service}: the settings have port 0, so its port is unknown"));
        }
        let why = match timeout(limit, check_health(address, tls.as_ref())).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(unhealthy)) => unhealthy.to_string(),
            Err(_) => format!("no response within {}", humantime::format_duration(limit)),
        };
        Err(format!("{service} at {address}: {why}"))
    }
}

/// Asks each server for its health, at the same time. Prints a line for each that is not serving
/// within `limit`, or the error of the settings.
///
/// Returns the exit code: 0 if all serve, otherwise 1. Other codes are reserved by Docker.
pub async fn healthcheck(
    servers: Result<Vec<Listening>, impl Display>,
    limit: Duration,
    shutdown: Shutdown,
) -> ExitCode {
    let servers = match servers {
        Ok(servers) => servers,
        Err(error) => return unhealthy(&error),
    };
    let mut checks: JoinSet<_> = servers.into_iter().map(|server| server.check(limit)).collect();
    let check = async {
        let mut problems = Vec::new();
        while let Some(checked) = checks.join_next().await {
            // A check does not panic.
            problems.extend(checked.map_err(|error| error.to_string()).flatten().err());
        }
        problems
    };
    let mut problems = tokio::select! {
        problems = check => problems,
        () = shutdown => vec!["interrupted".to_owned()],
    };
    problems.sort();
    if problems.is_empty() { ExitCode::SUCCESS } else { unhealthy(&problems.join("\n")) }
}

fn unhealthy(why: &impl Display) -> ExitCode {
    gantry_config::complain(why);
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_called_at_loopback() {
        let settings = gantry_server::Settings::default();
        for (listen, called) in [
            ("0.0.0.0:50051", "127.0.0.1:50051"),
            ("[::]:50051", "[::1]:50051"),
            ("10.0.0.7:1", "10.0.0.7:1"),
        ] {
            let listening = Listening::new("user", listen.parse().unwrap(), &settings);
            assert_eq!(listening.address.to_string(), called);
        }
    }
}
