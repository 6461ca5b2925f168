//! Key pairs of further services, and the settings that let them call the suite.

use std::{
    fmt::Write as _,
    io::{self, Write},
    path::Path,
};

use gantry_contract::{Access, Contract};
use gantry_identity::{KeyError, SigningKey};
use gantry_proto::CONTRACT;

use crate::{
    cli::KeysArgs,
    suite::{NAMES, SERVICES},
    up::Keys,
};

/// Error of `gantry keys`.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The key cannot be read or created.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The working folder is unknown, or standard output is closed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Creates the key pair of a service unless it exists, and prints the settings for its callees.
///
/// # Errors
/// [`KeysError`]
pub fn run(args: &KeysArgs) -> Result<(), KeysError> {
    let keys = Keys::new(&std::path::absolute(&args.data_dir)?, SERVICES);
    SigningKey::load_or_create(&keys.private(&args.service))?;
    let callees: Vec<_> = if args.calls.is_empty() {
        NAMES.iter().filter(|name| **name != args.service).map(|name| (*name).to_owned()).collect()
    } else {
        args.calls.clone()
    };
    let text = settings(&args.service, &keys, &callees, |_| Vec::new());
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// Returns the settings with which the callees trust the service and grant it the permissions that `grants`
/// returns for each callee.
pub(crate) fn settings<'a>(
    service: &str,
    keys: &Keys,
    callees: &[String],
    grants: impl Fn(&str) -> Vec<&'a str>,
) -> String {
    let (private, public) = (keys.private(service), keys.public(service));
    let mut text = format!(
        "# {service} signs its calls with this key; no other service has it:\n\
         # key_file = {}\n",
        quoted(&private),
    );
    for callee in callees {
        let permissions = permissions(&CONTRACT, callee);
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "\n[[{callee}.identity.trusted]]\n\
             issuer = \"{service}\"\n\
             issues = \"service\"\n\
             key_file = {}\n\n\
             [{callee}.identity.grants]\n\
             # Permissions of {service} in {callee}; choose from {}.\n\
             {service} = {:?}\n",
            quoted(&public),
            permissions.join(", "),
            grants(callee),
        );
    }
    text
}

/// Returns the permissions that the methods of a service of the suite require.
pub(crate) fn permissions(contract: &'static Contract, service: &str) -> Vec<&'static str> {
    let package = format!("shop.{service}.v1.");
    let services = contract.services.iter().filter(|policy| policy.name.starts_with(&package));
    let mut permissions: Vec<_> = services
        .flat_map(|policy| policy.methods)
        .filter_map(|method| match method.access {
            Access::Permission(permission) => Some(permission),
            _ => None,
        })
        .collect();
    permissions.sort_unstable();
    permissions.dedup();
    permissions
}

/// Returns a path as a TOML string.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_string_of_toml_whatever_is_in_it() {
        for path in ["/a/b.pem", "/it's \"here\"", "C:\\keys", "/a\nb\u{7}"] {
            let parsed: toml::Table =
                format!("path = {}", quoted(Path::new(path))).parse().unwrap();
            assert_eq!(parsed["path"].as_str(), Some(path));
        }
    }

    #[test]
    fn a_callee_names_the_permissions_of_its_own_methods() {
        let of = |service| permissions(&CONTRACT, service);
        assert!(of("user").contains(&"users:read"));
        assert!(of("inventory").contains(&"products:read"));
        assert!(of("inventory").iter().all(|permission| !permission.starts_with("users:")));
    }
}
