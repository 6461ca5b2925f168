//! The files that a service is given.

use std::path::{Path, PathBuf};

use gantry_identity::SigningKey;

/// Makes the keys that [`settings`] name.
pub(crate) fn keys(folder: &Path) {
    for name in ["users-tokens.pem", "order.pem", "inventory.pem"] {
        SigningKey::load_or_create(&folder.join(name)).unwrap();
    }
}

/// Writes settings whose files are all in `folder`; returns their path. Passwords
/// cost next to nothing here.
pub(crate) fn settings(folder: &Path) -> PathBuf {
    let file = |name: &str| folder.join(name).display().to_string();
    let trusted = |issuer: &str, issues: &str, name: &str| {
        format!(
            "[[user.identity.trusted]]
             issuer = '{issuer}'
             issues = '{issues}'
             key_file = '{}'\n",
            file(name)
        )
    };
    let settings = [
        "listen = '127.0.0.1:0'\nadmin.listen = '127.0.0.1:0'\n".to_owned(),
        format!("user.database.path = '{}'\n", file("data/user.db")),
        format!("user.idempotency.key_file = '{}'\n", file("requests.key")),
        format!("user.tokens.key_file = '{}'\n", file("users-tokens.pem")),
        "user.passwords.memory_kib = 8\nuser.passwords.iterations = 1\n".to_owned(),
        "user.bootstrap.admin_email = 'Admin@gantry.local'\n".to_owned(),
        "user.bootstrap.admin_password = 'first administrator'\n".to_owned(),
        // All calls of a test come from one address.
        "user.server.limits.per_address = { per_second = 1e6, burst = 1000000 }\n".to_owned(),
        trusted("gantry", "users", "users-tokens.pub.pem"),
        trusted("order", "service", "order.pub.pem"),
        trusted("inventory", "service", "inventory.pub.pem"),
    ];
    let path = folder.join("settings.toml");
    std::fs::write(&path, settings.concat()).unwrap();
    path
}
