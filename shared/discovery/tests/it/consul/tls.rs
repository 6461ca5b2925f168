//! An agent with TLS, which also checks health over TLS.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use gantry_consul_agent::Agent;
use gantry_discovery::{
    Instance, RegistrationState,
    consul::{Check, Settings},
};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{
    NeverEmpty, agent::Reached, eventually, is_live, is_pending, is_stale, registry,
    serving::Serving,
};
use crate::contract::{described, sees};

/// An authority, a server certificate for 127.0.0.1 and `gantry.test`, and a client certificate.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Replaces the content of all files, as a renewal does.
    fn renew(&self) {
        let renewed = Self::make();
        for file in fs::read_dir(renewed.folder.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), self.file(file.file_name().to_str().unwrap())).unwrap();
        }
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for arguments in [
            &["ca", "create"][..],
            &["cert", "create", "-server", "-additional-dnsname", "gantry.test"],
            &["cert", "create", "-client"],
        ] {
            let mut command = Command::new("consul");
            let made = command.arg("tls").args(arguments).current_dir(folder.path()).output();
            let made = made.unwrap();
            assert!(made.status.success(), "{made:?}");
        }
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ca(&self) -> PathBuf {
        self.file("consul-agent-ca.pem")
    }

    /// Starts an agent that requires client certificates.
    async fn agent(&self) -> Agent {
        let file = |name| self.file(name).display().to_string();
        let configuration = format!(
            "ca_file = {:?}\ncert_file = {:?}\nkey_file = {:?}\nverify_incoming_https = true\n\
             enable_agent_tls_for_checks = true\nserver_name = \"gantry.test\"\n",
            file("consul-agent-ca.pem"),
            file("dc1-server-consul-0.pem"),
            file("dc1-server-consul-0-key.pem"),
        );
        Agent::start_with(&configuration).await
    }

    /// Returns the settings of a process that the agent accepts.
    fn settings(&self, agent: &Agent) -> Settings {
        agent
            .secure_settings()
            .ca_file(self.ca())
            .cert_file(self.file("dc1-client-consul-0.pem"))
            .key_file(self.file("dc1-client-consul-0-key.pem"))
    }
}

#[tokio::test]
async fn registration_check_and_lookup_work_over_tls() {
    let certificates = Certificates::make();
    let agent = certificates.agent().await;
    let registry = registry(certificates.settings(&agent));
    let pem = |name| fs::read_to_string(certificates.file(name)).unwrap();
    let (cert, key) = (pem("dc1-server-consul-0.pem"), pem("dc1-server-consul-0-key.pem"));
    let server = Serving::secure(&cert, &key).await;
    let plain = Serving::start().await;

    let mut watch = registry.resolver.watch("user");
    let secure = |server: &Serving| Instance { tls: true, ..server.instance("user") };
    let _plain = registry.registrar.register(secure(&plain)).await.unwrap();
    let registration = registry.registrar.register(secure(&server)).await.unwrap();
    // The check of the plaintext server was due at about the same time.
    sees(&mut watch, &[server.port()]).await;
    sleep(agent.settings().check_interval).await;
    sees(&mut watch, &[server.port()]).await;
    registration.deregister().await;
    sees(&mut watch, &[]).await;
}

#[tokio::test]
async fn both_sides_need_a_trusted_certificate() {
    let certificates = Certificates::make();
    let agent = certificates.agent().await;
    let good = certificates.settings(&agent);
    let others = Certificates::make();
    let mut nameless = good.clone();
    (nameless.cert_file, nameless.key_file) = (None, None);
    let misled = good.clone().ca_file(others.ca());
    for (settings, expected) in [(nameless, "certificate"), (misled, "UnknownIssuer")] {
        let registry = registry(settings);
        let registration = registry.registrar.register(described(50_051)).await.unwrap();
        let RegistrationState::Retrying { why } = registration.state() else {
            panic!("it was registered");
        };
        assert!(why.to_lowercase().contains(&expected.to_lowercase()), "{why}");
        let why = is_pending(&registry.resolver.watch("user")).await;
        assert!(why.contains("unreachable"), "{why}");
    }
    assert!(agent.services().await.is_empty());

    let registry = registry(good);
    let _registration = registry.registrar.register(described(50_051)).await.unwrap();
    eventually("it is known", async || (agent.services().await.len() == 1).then_some(())).await;
}

/// A new authority issues both certificates. Neither side trusted it before.
#[tokio::test]
async fn renewed_certificates_are_used_without_a_restart() {
    let certificates = Certificates::make();
    let mut agent = certificates.agent().await;
    let registry =
        registry(certificates.settings(&agent).check(Check::Ttl).wait(Duration::from_secs(1)));
    let mut watch = registry.resolver.watch("user");
    let _registration = registry.registrar.register(described(50_051)).await.unwrap();
    sees(&mut watch, &[50_051]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);

    certificates.renew();
    agent.kill();
    is_stale(&watch).await;
    agent.restart().await;
    is_live(&watch).await;
    let known = async || (agent.services().await.len() == 1).then_some(());
    eventually("it is registered again", known).await;
    never_empty.end().await;
}
