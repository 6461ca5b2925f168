//! What the service is given in a folder: keys and settings.

use std::path::{Path, PathBuf};

use gantry_identity::SigningKey;

/// The keys that the settings name: of users' tokens, and of the order service.
pub(crate) fn keys(folder: &Path) -> (SigningKey, SigningKey) {
    let key = |name: &str| SigningKey::load_or_create(&folder.join(name)).unwrap();
    (key("users.pem"), key("order.pem"))
}

/// Where the settings have the database.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("data/inventory.db")
}

/// A settings file for a service that has all of its files in `folder`, and any ports.
pub(crate) fn settings(folder: &Path) -> PathBuf {
    let path = folder.join("settings.toml");
    let (database, folder) = (database(folder), folder.display());
    let database = database.display();
    let text = format!(
        r#"
            listen = "127.0.0.1:0"
            admin.listen = "127.0.0.1:0"
            discovery.kind = "memory"

            [inventory]
            # All calls of a test come from one address.
            server.limits.per_address = {{ per_second = 1e6, burst = 1000000 }}
            database.path = "{database}"
            idempotency.key_file = "{folder}/requests.key"

            [[inventory.identity.trusted]]
            issuer = "gantry"
            issues = "users"
            key_file = "{folder}/users.pub.pem"

            [[inventory.identity.trusted]]
            issuer = "order"
            issues = "service"
            key_file = "{folder}/order.pub.pem"
        "#
    );
    std::fs::write(&path, text).unwrap();
    path
}
