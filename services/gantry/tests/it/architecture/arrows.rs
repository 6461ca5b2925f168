//! The arrows: what may name what. docs/ARCHITECTURE.md says why.

/// Which crate of ours may name which. A crate that is not listed may not exist. The services of the
/// suite may name [`SERVICE`], and `gantry` names them.
pub(super) const CRATES: &[(&str, &[&str])] = &[
    ("gantry-config", &["gantry-files"]),
    ("gantry-contract", &[]),
    ("gantry-contract-build", &[]),
    ("gantry-discovery", &["gantry-files", "gantry-tls"]),
    ("gantry-files", &[]),
    ("gantry-http2", &[]),
    ("gantry-money", &[]),
    ("gantry-resilience", &[]),
    ("gantry-saga", &[]),
    ("gantry-telemetry", &[]),
    ("gantry-tls", &["gantry-files"]),
    ("gantry-identity", &["gantry-contract", "gantry-files"]),
    ("gantry-sql", &["gantry-contract", "gantry-files"]),
    ("gantry-proto", &["gantry-contract", "gantry-contract-build"]),
    (
        "gantry-client",
        &[
            "gantry-contract",
            "gantry-discovery",
            "gantry-http2",
            "gantry-identity",
            "gantry-resilience",
            "gantry-tls",
        ],
    ),
    (
        "gantry-server",
        &[
            "gantry-contract",
            "gantry-discovery",
            "gantry-http2",
            "gantry-identity",
            "gantry-resilience",
            "gantry-tls",
        ],
    ),
    (
        "gantry-process",
        &[
            "gantry-client",
            "gantry-config",
            "gantry-contract",
            "gantry-discovery",
            "gantry-identity",
            "gantry-saga",
            "gantry-server",
            "gantry-sql",
            "gantry-telemetry",
        ],
    ),
    ("greeter", &["gantry-contract", "gantry-contract-build", "gantry-server", "gantry-telemetry"]),
    (
        "greeter-caller",
        &[
            "gantry-client",
            "gantry-config",
            "gantry-contract",
            "gantry-contract-build",
            "gantry-process",
            "gantry-server",
            "gantry-telemetry",
            "greeter",
        ],
    ),
    // For tests alone: nothing that ships may name them.
    (
        "gantry-common-testing",
        &[
            "gantry-config",
            "gantry-contract",
            "gantry-discovery",
            "gantry-identity",
            "gantry-process",
            "gantry-proto",
            "gantry-server",
            "gantry-sql",
        ],
    ),
    ("gantry-consul-agent", &[]),
    ("gantry-contract-fuzz", &["gantry-contract"]),
    ("gantry-contract-conformance", &["gantry-contract", "gantry-contract-build"]),
    (
        "gantry-probe",
        &[
            "gantry-contract",
            "gantry-contract-build",
            "gantry-identity",
            "gantry-server",
            "gantry-telemetry",
        ],
    ),
    ("gantry-test-authority", &[]),
    // What `gantry new` makes.
    (
        "template-service",
        &[
            "gantry-client",
            "gantry-config",
            "gantry-contract",
            "gantry-contract-build",
            "gantry-process",
            "gantry-proto",
            "gantry-server",
        ],
    ),
    // A process under test.
    (
        "gantry-replica",
        &[
            "gantry-contract",
            "gantry-contract-build",
            "gantry-discovery",
            "gantry-server",
            "gantry-telemetry",
        ],
    ),
    (
        "gantry-common",
        &[
            "gantry-client",
            "gantry-contract",
            "gantry-identity",
            "gantry-money",
            "gantry-process",
            "gantry-proto",
        ],
    ),
    (
        "gantry",
        &[
            "gantry-client",
            "gantry-config",
            "gantry-contract",
            "gantry-contract-build",
            "gantry-discovery",
            "gantry-files",
            "gantry-identity",
            "gantry-process",
            "gantry-proto",
            "gantry-resilience",
            "gantry-server",
            "gantry-telemetry",
        ],
    ),
];

/// What a service may name: every shared crate, the contract, what the services share, and no service.
pub(super) const SERVICE: &[&str] = &[
    "gantry-client",
    "gantry-common",
    "gantry-config",
    "gantry-contract",
    "gantry-discovery",
    "gantry-identity",
    "gantry-money",
    "gantry-process",
    "gantry-proto",
    "gantry-saga",
    "gantry-server",
    "gantry-sql",
    "gantry-telemetry",
];

/// Libraries that only these crates may use, outside tests.
pub(super) const KEPT_IN: &[(&str, &[&str])] = &[
    ("axum", &["gantry-server"]),
    ("figment", &["gantry-config"]),
    ("opentelemetry_sdk", &["gantry-telemetry"]),
    ("prometheus", &["gantry-telemetry"]),
    ("jsonwebtoken", &["gantry-identity"]),
    (
        "sqlx",
        &["gantry-sql", "gantry-user", "gantry-inventory", "gantry-order", "gantry-common-testing"],
    ),
    ("argon2", &["gantry-user"]),
    // A way to a peer beside the client: `gantry` measures one against the other.
    ("hyper", CONNECTING),
    ("hyper-util", CONNECTING),
    ("h2", CONNECTING),
];

/// Which crates open or accept connections themselves.
const CONNECTING: &[&str] =
    &["gantry-client", "gantry-server", "gantry-discovery", "gantry-consul-agent", "gantry"];

/// Which part of a service may name which other part.
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

/// Which crates a part of a service may name, or which one item of a crate; a part that is not listed may
/// name what the manifest has.
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
