//! Bill of materials of the image: deploy/docker/sbom.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::architecture::root;

fn bill() -> Value {
    let mut command = Command::new("python3");
    command.arg("-B").arg(root().join("deploy/docker/sbom")).env("CARGO", env!("CARGO"));
    command.env("CARGO_NET_OFFLINE", "true").current_dir("/");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_bill_of_materials_has_every_linked_crate_with_its_licence() {
    let bill = bill();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let components = bill["components"].as_array().unwrap();
    let names: BTreeSet<_> = components.iter().map(|one| one["name"].as_str().unwrap()).collect();
    for linked in ["gantry-order", "rustls", "aws-lc-sys", "libsqlite3-sys", "tokio"] {
        assert!(names.contains(linked), "{linked}");
    }
    // Tests, macros and build scripts are not in the image.
    for other in ["proptest", "gantry-probe", "serde_derive", "syn", "protox"] {
        assert!(!names.contains(other), "{other}");
    }
    for one in components {
        assert!(one["licenses"][0]["expression"].is_string(), "{one}");
        let is_ours =
            one["name"].as_str().unwrap().starts_with("gantry") || one["name"] == "webpki-roots";
        assert_eq!(one["purl"].is_string(), !is_ours, "{one}");
        assert_eq!(one["hashes"][0]["content"].is_string(), !is_ours, "{one}");
    }

    let known: BTreeSet<_> =
        components.iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(known.len(), components.len(), "each crate once");
    let mut reached = BTreeSet::new();
    for entry in bill["dependencies"].as_array().unwrap() {
        reached
            .extend(entry["dependsOn"].as_array().unwrap().iter().map(|to| to.as_str().unwrap()));
    }
    assert_eq!(reached, known, "each crate is there because another one needs it");
}
