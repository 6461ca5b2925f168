//! The arrows: the crates and modules that each crate and module may name. docs/ARCHITECTURE.md has the
//! reasons.
//!
//! Names of our crates stand without `gantry-`. A new crate in `shared/` needs a row only if it names
//! another crate of ours.

/// Crates of ours that a library crate may name.
///
/// The crates without a row follow from their place:
/// - A crate in `shared/` may name none.
/// - A service of the suite may name every library crate.
/// - `gantry`, and crates that are tests, examples or templates, may name every library crate, and
///   `gantry` every service. No library crate and no service may name them.
pub(super) const LIBRARY_CRATES: &[(&str, &str)] = &[
    ("client", "contract discovery http2 identity resilience tls"),
    ("common", "client contract identity money process proto"),
    ("config", "files"),
    ("contract-build", ""),
    ("discovery", "files tls"),
    ("events-rabbitmq", "events files tls"),
    ("identity", "contract files"),
    ("operator", "contract contract-build saga server"),
    ("process", "client config contract discovery files identity saga server sql telemetry"),
    ("proto", "contract contract-build"),
    ("server", "contract discovery http2 identity resilience tls"),
    ("sql", "contract events files resilience saga tls"),
    ("telemetry", "files tls"),
    ("tls", "files"),
];

/// Services that run as processes of their own alone: `gantry up` has no row of them.
pub(super) const APART: &[&str] = &["notification"];

/// Crates that alone may use a library, outside tests. `SERVICES` stands for the services of the suite.
pub(super) const KEPT_IN: &[(&str, &str)] = &[
    ("argon2", "user"),
    ("axum", "server"),
    ("figment", "config"),
    ("jsonwebtoken", "identity"),
    ("lapin", "events-rabbitmq"),
    ("lettre", "notification"),
    ("opentelemetry_sdk", "telemetry"),
    ("prometheus", "telemetry"),
    // `bench` compares services with their statements alone.
    ("sqlx", "sql sql-testing SERVICES common-testing bench"),
    // Ways to a peer beside the client: `bench` compares them.
    ("h2", "client server discovery consul-agent bench"),
    ("hyper", "client server discovery consul-agent bench"),
    ("hyper-util", "client server discovery consul-agent rabbitmq-broker bench telemetry"),
];

/// Parts of a service that a part may name.
pub(super) const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["compose", "settings"]),
    ("lib", &["compose", "settings"]),
    ("compose", &["settings", "inbound", "outbound", "application", "domain"]),
    ("settings", &["outbound", "domain"]),
    ("inbound", &["application", "domain"]),
    ("outbound", &["application", "domain"]),
    ("application", &["domain"]),
    ("domain", &[]),
];

/// Crates, or single items of crates, that a part of a service may name. A part without a row may name
/// every dependency of its manifest.
pub(super) const LIBRARIES: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "std",
            "core",
            "alloc",
            "thiserror",
            "uuid",
            "time",
            "unicode_normalization",
            "gantry_money",
        ],
    ),
    (
        "application",
        &[
            "std",
            "core",
            "alloc",
            "thiserror",
            "uuid",
            "time",
            "async_trait",
            "tokio",
            "tracing",
            "serde",
            "serde_json",
            "secrecy",
            "gantry_contract",
            "gantry_money",
            "gantry_saga",
            "gantry_sql::StorageError",
        ],
    ),
];
