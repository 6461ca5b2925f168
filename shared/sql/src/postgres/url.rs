//! URLs of databases on a server.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, de::Error};
use sqlx::postgres::PgConnectOptions;

/// Expected value of the setting, for its errors.
pub(crate) const EXPECTED: &str = "expected postgres://USER@HOST:PORT/DATABASE";

/// Server and database that a URL names.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// The URL, which has no password.
    pub(crate) url: String,
    pub(crate) options: PgConnectOptions,
}

impl Server {
    /// Reads a URL.
    ///
    /// # Errors
    /// Fault of the URL. Without the URL itself, which may have a password.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        if url.is_empty() {
            return Err("it is empty");
        }
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("it has white space or a control character");
        }
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or("it does not begin with postgres://")?;
        if rest.contains(['?', '#']) {
            return Err("it has parameters, which have settings of their own");
        }
        let (authority, database) = rest.split_once('/').ok_or("it names no database")?;
        if database.is_empty() || database.contains('/') {
            return Err("it names no database");
        }
        let (user, host) = authority.rsplit_once('@').ok_or("it names no user")?;
        if user.contains(':') {
            return Err("it has a password, which belongs into password_file");
        }
        if user.is_empty() {
            return Err("it names no user");
        }
        if host.is_empty() || host.starts_with(':') {
            return Err("it names no host");
        }
        let options = url.parse::<PgConnectOptions>().map_err(|_| "it is no URL")?;
        Ok(Self { url: url.to_owned(), options })
    }

    /// Returns true if the server is reached without a network: by a loopback address or a socket.
    pub(crate) fn is_local(&self) -> bool {
        let host = self.options.get_host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        self.options.get_socket().is_some()
            || host == "localhost"
            || address.is_ok_and(|address| address.is_loopback())
    }
}

/// Reads the setting. Without a value it is empty.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    if url.is_empty() {
        return Ok(url);
    }
    match Server::parse(&url) {
        Ok(server) => Ok(server.url),
        Err(why) => Err(D::Error::custom(format_args!("{EXPECTED}, and {why}"))),
    }
}

/// Reads the setting if there is one.
pub(crate) fn deserialize_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_user_host_and_database() {
        for url in [
            "postgres://gantry@localhost/user",
            "postgresql://gantry@db.example.org:5433/user",
            "postgres://gantry@[::1]:5432/user",
            "postgres://gantry@%2Frun%2Fpostgresql/user",
        ] {
            assert!(Server::parse(url).is_ok(), "{url}");
        }
        for (url, why) in [
            ("", "empty"),
            ("user.db", "postgres://"),
            ("mysql://gantry@localhost/user", "postgres://"),
            ("postgres://localhost/user", "no user"),
            ("postgres://@localhost/user", "no user"),
            ("postgres://gantry@/user", "no host"),
            ("postgres://gantry@:5432/user", "no host"),
            ("postgres://gantry@localhost", "no database"),
            ("postgres://gantry@localhost/", "no database"),
            ("postgres://gantry@localhost/a/b", "no database"),
            ("postgres://gantry:secret@localhost/user", "password_file"),
            ("postgres://gantry@localhost/user?password=secret", "parameters"),
            ("postgres://gantry@localhost/user?sslmode=disable", "parameters"),
            ("postgres://gantry@localhost:port/user", "no URL"),
            ("postgres://gantry@local host/user", "white space"),
        ] {
            let told = Server::parse(url).expect_err(url);
            assert!(told.contains(why), "{url}: {told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn a_loopback_address_or_a_socket_is_local() {
        for (host, local) in [
            ("localhost", true),
            ("127.0.0.1:5433", true),
            ("[::1]:5433", true),
            ("%2Frun%2Fpostgresql", true),
            ("10.0.0.1", false),
            ("db.example.org", false),
            ("localhost.example.org", false),
        ] {
            let server = Server::parse(&format!("postgres://gantry@{host}/user")).unwrap();
            assert_eq!(server.is_local(), local, "{host}");
        }
    }
}
