//! What `up` tells the world once everything serves: the ready file and the banner.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use gantry_server::ServerTls;
use serde::Serialize;

use super::{admin::Bootstrap, plan::Plan};
use crate::ports::{INVENTORY, USER};

/// The content of the ready file.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    services: BTreeMap<&'static str, Vec<SocketAddr>>,
    admin: SocketAddr,
    pid: u32,
    version: &'static str,
}

impl Ready {
    /// Everything the plan has, now that it serves.
    pub(super) fn new(plan: &Plan) -> Self {
        let services =
            plan.services().iter().map(|of| (of.service.name, of.addresses().collect())).collect();
        Self {
            services,
            admin: plan.admin(),
            pid: std::process::id(),
            version: gantry_telemetry::BUILD.version,
        }
    }

    /// Takes an earlier start's file away, so that nobody takes it for this one's, and
    /// finds out whether there can be one.
    pub(super) fn prepare(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _gone => {}
        }
        let partial = partial(path);
        fs::write(&partial, "")?;
        fs::remove_file(&partial)
    }

    /// Writes the file whole or not at all: whoever sees it can read it.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let partial = partial(path);
        fs::write(&partial, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&partial, path)
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    partial.into()
}

/// The path as one word of a shell.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// How grpcurl is told to speak to a service; the files in capitals are the caller's own.
fn through(service: &str, tls: Option<&ServerTls>) -> String {
    let Some(tls) = tls else { return "-plaintext".to_owned() };
    let own = if tls.client_ca_file.is_some() { "-cert CERT -key KEY " } else { "" };
    format!("-cacert CA {own}-servername {service}")
}

/// Prints the addresses, three calls to paste, the admin, and `ready`.
///
/// # Errors
/// Where standard output cannot be written to.
pub(super) fn banner(
    plan: &Plan,
    tls: &BTreeMap<&str, ServerTls>,
    bootstrap: &Bootstrap,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n  service     address")?;
    for of in plan.services() {
        for address in of.addresses() {
            writeln!(out, "  {:<11} {address}", of.service.name)?;
        }
    }
    writeln!(out, "  {:<11} http://{}/readyz", "admin", plan.admin())?;

    let file = word(&bootstrap.password_file);
    writeln!(out, "\n  try")?;
    let service = |name| plan.services().iter().filter(move |of| of.service.name == name);
    for of in service(USER.name) {
        let (user, through) = (of.first, through(USER.name, tls.get(USER.name)));
        writeln!(out, "  grpcurl {through} {user} list")?;
        writeln!(
            out,
            r#"  TOKEN=$(grpcurl {through} -d "{{\"email\":\"{}\",\"password\":\"$(cat {file})\"}}" {user} shop.user.v1.AuthService/Login | sed -n 's/.*"accessToken": "\(.*\)".*/\1/p')"#,
            bootstrap.email,
        )?;
    }
    for of in service(INVENTORY.name) {
        writeln!(
            out,
            r#"  grpcurl {} -H "authorization: Bearer $TOKEN" -d '{{"page_size":10}}' {} shop.inventory.v1.InventoryService/ListProducts"#,
            through(INVENTORY.name, tls.get(INVENTORY.name)),
            of.first,
        )?;
    }
    writeln!(out)?;
    match &bootstrap.created_password {
        Some(password) => {
            writeln!(out, "  admin       {}\n  password    {password}", bootstrap.email)?;
            writeln!(out, "              shown this once, and kept in {file}\n")?;
        }
        None => writeln!(out, "  admin       {} (made by an earlier start)\n", bootstrap.email)?,
    }
    writeln!(out, "ready")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        assert_eq!(word(Path::new("./.gantry/admin-password")), "./.gantry/admin-password");
        assert_eq!(word(Path::new("my data/x")), "'my data/x'");
        assert_eq!(word(Path::new("it's;$(rm)")), r"'it'\''s;$(rm)'");
    }
}
