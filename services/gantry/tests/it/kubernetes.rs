//! Files in deploy/k8s: the settings are accepted in production, and the manifests fit them. `./test` validates
//! the manifests' fields. Nothing here runs a cluster.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use gantry_identity::SigningKey;
use gantry_test_authority::Authority;
use serde_json::Value;

use crate::{
    architecture::root,
    cluster::{SERVICES, own_binary},
};

/// Folder in which pods find their secret.
const SECRETS: &str = "/run/secrets";

fn file(name: &str) -> PathBuf {
    root().join("deploy/k8s").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// Returns the values of a key of a manifest, whatever its place.
fn values<'a>(manifest: &'a str, key: &str) -> Vec<&'a str> {
    let key = format!("{key}: ");
    let ends = |rest: &'a str| rest.split(['\n', ',', '}']).next().unwrap_or_default();
    manifest.split(&*key).skip(1).map(ends).collect()
}

fn number(manifest: &str, key: &str) -> u64 {
    let [value] = values(manifest, key)[..] else { panic!("{key} is not there once") };
    value.parse().unwrap()
}

/// Writes the content of each service's secret, as deploy/docker/secrets makes it.
fn write_secrets(folder: &Path, service: &str) {
    let authority = Authority::new();
    let issued = authority.issue(service, &[service]);
    for (from, to) in [
        (issued.cert_file, "tls.pem"),
        (issued.key_file, "tls.key.pem"),
        (authority.ca_file(), "ca.pem"),
    ] {
        fs::copy(from, folder.join(to)).unwrap();
    }
    for name in ["order", "users-tokens"] {
        // Its public key is written beside it.
        SigningKey::load_or_create(&folder.join(format!("{name}.pem"))).unwrap();
    }
    fs::rename(folder.join("order.pem"), folder.join("key.pem")).unwrap();
    let random = "8f3b6a1c5e7d90244b6f8a3d1c5e7092b4d6f8a0c2e4168a3c5e7f901b2d4f68";
    for name in ["requests.secret", "database-password", "admin-password"] {
        fs::write(folder.join(name), random).unwrap();
    }
}

/// Returns the settings in force of a service, with its secrets in a folder of this test.
fn settings(service: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    write_secrets(folder.path(), service);
    let place = folder.path().display().to_string();
    let mut command = own_binary(service);
    command.current_dir(folder.path()).args(["config", "show", "--json"]);
    for (flag, name) in [("--env-file", "cluster.env"), ("--config", &*format!("{service}.toml"))] {
        let path = folder.path().join(name);
        fs::write(&path, text(&format!("settings/{name}")).replace(SECRETS, &place)).unwrap();
        command.arg(flag).arg(path);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{service}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_settings_are_fit_for_production_and_the_manifests_for_them() {
    for service in SERVICES {
        let settings = settings(service);
        assert_eq!(settings["profile"], "production", "{service}");
        let server = &settings[*service]["server"];
        assert!(server["tls"]["client_ca_file"].is_string(), "{service} requires certificates");

        let manifest = text(&format!("{service}.yaml"));
        let port = |key: &Value| key.as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
        let ports = [port(&settings["listen"]), port(&settings["admin"]["listen"])];
        assert_eq!(values(&manifest, "containerPort"), ports, "{service}");
        assert_eq!(values(&manifest, " port")[0], ports[0], "{service}: the Service");
        let scraped = format!("prometheus.io/port: \"{}\"", ports[1]);
        assert!(manifest.contains(&scraped), "{service}: {scraped}");
        let address = format!("{service}.gantry.svc:{}", ports[0]);
        assert_eq!(settings["discovery"]["static"][*service][0], address, "{service}");
        for command in ["", "healthcheck, "] {
            let command = format!(
                "[/usr/local/bin/{service}-service, {command}--config, /etc/gantry/{service}.toml]"
            );
            assert!(manifest.contains(&command), "{service}: {command}");
        }
        for line in [
            "runAsNonRoot: true",
            "readOnlyRootFilesystem: true",
            "allowPrivilegeEscalation: false",
            "capabilities: {drop: [ALL]}",
            "seccompProfile: {type: RuntimeDefault}",
            "{name: GANTRY_ENV_FILE, value: /etc/gantry/cluster.env}",
            // A server that listens on all addresses needs one that others can call.
            &format!("GANTRY_{}__SERVER__ADVERTISE", service.to_uppercase()),
            &format!("secretName: gantry-{service},"),
            &format!("mountPath: {SECRETS},"),
        ] {
            assert!(manifest.contains(line), "{service}: {line}");
        }

        // The kubelet kills a pod that has not ended by then.
        let drain = server["drain_timeout"].as_str().unwrap();
        let drain = Duration::from_secs(drain.trim_end_matches('s').parse().unwrap());
        let propagation = Duration::from_secs(2);
        let sleep = Duration::from_secs(number(&manifest, "seconds"));
        let grace = Duration::from_secs(number(&manifest, "terminationGracePeriodSeconds"));
        assert!(grace > sleep + propagation + drain, "{service}: {grace:?}");
    }
}

#[test]
fn the_kustomization_has_every_file() {
    let kustomization = text("kustomization.yaml");
    let listed: BTreeSet<_> =
        kustomization.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    let mut missing = Vec::new();
    for (folder, prefix) in [(file(""), ""), (file("settings"), "settings/")] {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let is_listed = listed.contains(&*name);
            if entry.path().is_file() && name != "kustomization.yaml" && !is_listed {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
    for service in SERVICES {
        assert!(listed.contains(&*format!("{service}.yaml")), "{service}");
    }
}
