//! Ready file and banner, written once all services are serving.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::Path,
    thread,
};

use gantry_files::{Readers, shell_word};
use gantry_server::ServerTls;
use serde::Serialize;

use super::{admin::Bootstrap, plan::Plan};
use crate::suite::{INVENTORY, USER};

/// Content of the ready file.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    services: BTreeMap<&'static str, Vec<SocketAddr>>,
    admin: SocketAddr,
    pid: u32,
    version: &'static str,
}

impl Ready {
    /// Returns the addresses of the plan, and this process.
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

    /// Removes the file of an earlier start, and checks that the path can be written.
    pub(super) fn prepare(path: &Path) -> io::Result<()> {
        gantry_files::vacate(path)
    }

    /// Writes the file atomically: a reader never sees a part of it.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        gantry_files::replace(path, &serde_json::to_vec_pretty(self)?, Readers::Everybody)
    }
}

/// Returns grpcurl's flags for the transport of a service. The caller replaces the names in capitals with
/// its own files.
fn through(service: &str, tls: Option<&ServerTls>) -> String {
    let Some(tls) = tls else { return "-plaintext".to_owned() };
    let own = if tls.client_ca_file.is_some() { "-cert CERT -key KEY " } else { "" };
    format!("-cacert CA {own}-servername {service}")
}

/// Prints the banner.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn print_banner(
    plan: &Plan,
    tls: &BTreeMap<&str, ServerTls>,
    bootstrap: &Bootstrap,
) -> io::Result<()> {
    print(banner(plan, tls, bootstrap)?)
}

/// Returns the banner: addresses, three calls to paste, the admin, and `ready`. The calls take secrets from
/// standard input or the environment: other users of the machine can read arguments. The banner has the
/// password only if standard output is a terminal, since other output may be stored.
pub(super) fn banner(
    plan: &Plan,
    tls: &BTreeMap<&str, ServerTls>,
    bootstrap: &Bootstrap,
) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    writeln!(out, "\n  service     address")?;
    for of in plan.services() {
        for address in of.addresses() {
            writeln!(out, "  {:<11} {address}", of.service.name)?;
        }
    }
    writeln!(out, "  {:<11} http://{}/", "admin", plan.admin())?;

    let file = shell_word(&bootstrap.password_file);
    writeln!(out, "\n  try")?;
    let service = |name| plan.services().iter().filter(move |of| of.service.name == name);
    for of in service(USER.name) {
        let (user, through) = (of.first, through(USER.name, tls.get(USER.name)));
        writeln!(out, "  grpcurl {through} {user} list")?;
        writeln!(
            out,
            r#"  export TOKEN=$(printf '{{"email":"%s","password":"%s"}}' {} "$(cat {file})" | grpcurl {through} -d @ {user} shop.user.v1.AuthService/Login | sed -n 's/.*"accessToken": "\(.*\)".*/\1/p')"#,
            bootstrap.email,
        )?;
    }
    for of in service(INVENTORY.name) {
        writeln!(
            out,
            r#"  grpcurl {} -expand-headers -H 'authorization: Bearer ${{TOKEN}}' -d '{{"page_size":10}}' {} shop.inventory.v1.InventoryService/ListProducts"#,
            through(INVENTORY.name, tls.get(INVENTORY.name)),
            of.first,
        )?;
    }
    writeln!(out)?;
    match &bootstrap.created_password {
        Some(password) if io::stdout().is_terminal() => {
            writeln!(out, "  admin       {}\n  password    {password}", bootstrap.email)?;
            writeln!(out, "              shown only once; stored in {file}\n")?;
        }
        Some(_) => writeln!(out, "  admin       {}\n  password    in {file}\n", bootstrap.email)?,
        None => writeln!(out, "  admin       {} (created by an earlier start)\n", bootstrap.email)?,
    }
    writeln!(out, "ready")?;
    Ok(out)
}

/// Prints in a thread of its own: a full pipe must not block the suite.
fn print(text: Vec<u8>) -> io::Result<()> {
    let print = move || {
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(&text).and_then(|()| out.flush()) {
            // Standard output is closed. The suite serves without it.
            tracing::warn!(%error, "cannot print the addresses");
        }
    };
    thread::Builder::new().name("banner".to_owned()).spawn(print).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn ready() -> Ready {
        let address = ([127, 0, 0, 1], 1).into();
        Ready { services: BTreeMap::new(), admin: address, pid: 1, version: "1" }
    }

    #[test]
    fn the_file_of_an_earlier_start_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        fs::write(&path, "old").unwrap();
        Ready::prepare(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        ready().write(&path).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("127.0.0.1:1"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_are_no_ready_files() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("ready"));
        fs::write(&victim, "precious").unwrap();
        // Also under the name of a partial file.
        for name in ["ready", "ready.partial"] {
            std::os::unix::fs::symlink(&victim, folder.path().join(name)).unwrap();
        }
        assert!(Ready::prepare(&link).is_err());
        assert!(ready().write(&link).is_err());
        fs::remove_file(&link).unwrap();
        Ready::prepare(&link).unwrap();
        ready().write(&link).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(Ready::prepare(Path::new("/dev/null")).is_err());
        assert!(Ready::prepare(folder.path()).is_err());
    }
}
