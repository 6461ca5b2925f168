//! What the service is given in a folder: keys and settings.

use std::path::{Path, PathBuf};

use gantry_identity::SigningKey;

/// The keys that the settings name: of users' tokens, and the service's own.
pub(crate) fn keys(folder: &Path) -> (SigningKey, SigningKey) {
    let key = |name: &str| SigningKey::load_or_create(&folder.join(name)).unwrap();
    (key("users.pem"), key("order.pem"))
}

/// A settings file for a service that has all of its files in `folder`, and any ports.
/// It is impatient: what takes seconds elsewhere takes a moment here.
pub(crate) fn settings(folder: &Path) -> PathBuf {
    let path = folder.join("settings.toml");
    let folder = folder.display();
    let text = format!(
        r#"
            listen = "127.0.0.1:0"
            admin.listen = "127.0.0.1:0"
            discovery.kind = "memory"

            [order]
            # All calls of a test come from one address.
            server.limits.per_address = {{ per_second = 1e6, burst = 1000000 }}
            database.path = "{folder}/data/order.db"
            idempotency.key_file = "{folder}/requests.key"
            identity.key_file = "{folder}/order.pem"
            clients.user.endpoint_wait = "300ms"
            clients.inventory.endpoint_wait = "300ms"
            pricing.taxes = [{{ region = "DE", percent = 19 }}]

            [[order.identity.trusted]]
            issuer = "gantry"
            issues = "users"
            key_file = "{folder}/users.pub.pem"

            [order.saga]
            attempt_timeout = "500ms"
            step_deadline = "1500ms"
            retry_initial = "50ms"
            retry_max = "200ms"
            pause_initial = "100ms"
            pause_max = "200ms"
            poll = "50ms"
        "#
    );
    std::fs::write(&path, text).unwrap();
    path
}
