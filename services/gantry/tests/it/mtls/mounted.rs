//! Mounted folder of certificates, and the settings of docs/IDENTITY.md for it.

use std::{fs, path::PathBuf, time::Duration};

use gantry_client::ClientTls;
use gantry_test_authority::{Authority, put};
use tempfile::TempDir;

use crate::{
    architecture::root,
    cluster::{SERVICES, local_file},
};

/// Maximum age of a connection in these tests: short, so that certificates are used often.
pub const MAX_AGE: Duration = Duration::from_secs(1);

/// Name that the agent expects in the certificates of checked instances.
const CHECKED: &str = "gantry.internal";

/// Folder of the files in the page.
const IN_PAGE: &str = "/run/tls";

/// Folder of the files in this test, instead of `/run/tls`.
pub struct Mounted(TempDir);

impl Mounted {
    /// Writes a certificate for each process, and trust in their authority.
    pub fn by(authority: &Authority) -> Self {
        let mounted = Self(tempfile::tempdir().unwrap());
        mounted.trust(&[authority]);
        mounted.issue(authority);
        mounted
    }

    /// Replaces the trusted authorities of all processes.
    pub fn trust(&self, authorities: &[&Authority]) {
        let pem = authorities.iter().map(|one| fs::read_to_string(one.ca_file()).unwrap());
        put(&self.file("ca.pem"), &pem.collect::<String>());
    }

    /// Issues a new certificate to each process.
    pub fn issue(&self, authority: &Authority) {
        for name in SERVICES.iter().chain(&["consul", "caller"]) {
            self.issue_until(authority, name, time::Duration::days(1));
        }
    }

    /// Issues an expired certificate to one process.
    pub fn issue_expired(&self, authority: &Authority, name: &str) {
        self.issue_until(authority, name, time::Duration::hours(-1));
    }

    fn issue_until(&self, authority: &Authority, name: &str, until: time::Duration) {
        let issued = authority.issue_until(name, &[name, CHECKED], until);
        for (file, to) in [
            (issued.key_file, format!("{name}.key.pem")),
            (issued.cert_file, format!("{name}.pem")),
        ] {
            put(&self.file(&to), &fs::read_to_string(file).unwrap());
        }
    }

    /// Returns the TLS settings of an outside caller.
    pub fn caller(&self) -> ClientTls {
        ClientTls::trusting(self.file("ca.pem"))
            .cert_file(self.file("caller.pem"))
            .key_file(self.file("caller.key.pem"))
            .reload_interval(Duration::from_millis(20))
    }

    /// Returns the TLS settings of an outside caller that trusts this authority.
    pub fn trusting(&self, authority: &Authority) -> ClientTls {
        self.caller().ca_file(authority.ca_file())
    }

    /// Returns the TLS flags of `gantry demo`.
    pub fn flags(&self) -> [String; 6] {
        let file = |name| self.file(name).display().to_string();
        let (ca, cert, key) = (file("ca.pem"), file("caller.pem"), file("caller.key.pem"));
        ["--ca-file".into(), ca, "--cert-file".into(), cert, "--key-file".into(), key]
    }

    /// Returns the settings of `gantry up`.
    pub fn settings_of_all(&self) -> String {
        let ages = SERVICES.iter().map(|service| aging(service));
        let text = self.block("toml") + &ages.collect::<String>();
        self.write("all.toml", &text).display().to_string()
    }

    /// Writes the settings file of a service's own binary: the one of deploy/local, the lines of the page,
    /// and `further`.
    pub fn settings_of(&self, service: &str, further: &str) -> PathBuf {
        let local = fs::read_to_string(local_file(service)).unwrap();
        let block = self.block("toml");
        let tables = block.split_inclusive('\n').collect::<Vec<_>>();
        let own = tables.chunks(2).filter(|lines| lines[0].starts_with(&format!("[{service}.")));
        let own: String = own.flatten().copied().collect();
        let text = format!("{local}\n{own}{}{further}", aging(service));
        self.write(&format!("{service}.toml"), &text)
    }

    /// Returns the settings of a Consul agent.
    pub fn settings_of_agent(&self) -> String {
        self.block("hcl")
    }

    /// Returns the page's only block of this language.
    fn block(&self, language: &str) -> String {
        let page = fs::read_to_string(root().join("docs/IDENTITY.md")).unwrap();
        let (_, block) = page.split_once(&format!("```{language}\n")).expect("the block");
        let (block, _) = block.split_once("```").expect("its end");
        let folder = self.0.path().display().to_string();
        let often = ", reload_interval = \"20ms\" }";
        block.replace(IN_PAGE, &folder).replace(" }", often)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn aging(service: &str) -> String {
    format!("[{service}.server.connections]\nmax_age = \"{}s\"\n", MAX_AGE.as_secs())
}
