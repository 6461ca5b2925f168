//! PEM files in the forms that other tools and systems write.

use std::{fs, path::Path};

use gantry_files::pem;
use gantry_test_authority::{Authority, put};
use gantry_tls::{ClientTls, ServerTls};

use crate::server;

/// Rewrites a file.
fn change(path: &Path, form: impl Fn(&str) -> String) {
    put(path, &form(&fs::read_to_string(path).unwrap()));
}

#[test]
fn text_may_stand_around_certificates_and_keys() {
    let forms: [fn(&str) -> String; 6] = [
        |pem| format!("Subject: CN = a\nIssuer: CN = b\n{pem}"),
        |pem| format!("{pem}\nthe end"),
        |pem| format!("\u{feff}{pem}"),
        |pem| pem.replace('\n', "\r\n"),
        |pem| pem.replace('\n', "\n  "),
        |pem| {
            format!(
                "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{pem}"
            )
        },
    ];
    for (number, form) in forms.into_iter().enumerate() {
        let authority = Authority::new();
        let tls = server(&authority, Some(authority.ca_file()));
        for path in [&tls.cert_file, &tls.key_file, &authority.ca_file()] {
            change(path, form);
        }
        tls.load().unwrap_or_else(|error| panic!("form {number}: {error}"));
        ClientTls::trusting(authority.ca_file()).load().unwrap();
    }
}

#[test]
fn a_certificate_and_its_key_may_share_a_file() {
    let authority = Authority::new();
    let tls = server(&authority, None);
    let key = fs::read_to_string(&tls.key_file).unwrap();
    change(&tls.cert_file, |chain| format!("{key}{chain}"));
    ServerTls::new(&tls.cert_file, &tls.cert_file).load().unwrap();
}

#[test]
fn an_invalid_certificate_of_a_bundle_is_named() {
    let authority = Authority::new();
    let good = fs::read_to_string(authority.ca_file()).unwrap();
    let lines = good.lines().count();
    let block = |base64: &str| {
        format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
    };
    let der = pem::blocks(&good).unwrap().remove(0).der;
    let longer = pem::encode("CERTIFICATE", &[&der[..], &[0; 3]].concat());
    let (second, third) = (lines + 1, 2 * lines + 1);
    for (bundle, why) in [
        (
            format!("{good}{}{good}", block("AAAA")),
            format!("certificate 2 of 3, line {second}: it is not an X.509 certificate"),
        ),
        (
            format!("{good}{good}{}", block("MIIBszCCAVmgAwIBAgIU")),
            format!("certificate 3 of 3, line {third}: it is not an X.509 certificate"),
        ),
        (block(""), "certificate 1 of 1, line 1: it is not an X.509 certificate".to_owned()),
        (
            format!("{good}{longer}"),
            format!("certificate 2 of 2, line {second}: there are bytes after"),
        ),
        (format!("{good}{}", block("no*base64")), format!("line {}: not base64", second + 1)),
        (
            format!("{good}-----BEGIN CERTIFICATE-----\nAAAA\n"),
            format!("line {second}: the block CERTIFICATE has no END line"),
        ),
        (String::new(), "holds no certificate, found no PEM block".to_owned()),
        (
            good.replace("CERTIFICATE", "PUBLIC KEY"),
            "holds no certificate, found PUBLIC KEY".to_owned(),
        ),
    ] {
        let path = authority.file("bundle.pem");
        put(&path, &bundle);
        let error = ClientTls::trusting(&path).load().unwrap_err();
        assert_eq!(error.key, "ca_file");
        assert!(error.why.starts_with(&format!("{}: {why}", path.display())), "{error} != {why}");
    }
}

#[test]
fn a_key_file_needs_exactly_one_unencrypted_key() {
    let authority = Authority::new();
    let tls = server(&authority, None);
    let good = fs::read_to_string(&tls.key_file).unwrap();
    for (text, why) in [
        (good.repeat(2), "holds more than one private key"),
        (
            good.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
            "holds no private key (PEM, not encrypted), found ENCRYPTED PRIVATE KEY",
        ),
        (
            good.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1),
            "line 2: the block has headers, as an encrypted key has: decrypt it",
        ),
        ("secret".to_owned(), "found no PEM block"),
    ] {
        put(&tls.key_file, &text);
        let error = tls.load().unwrap_err();
        assert_eq!(error.key, "key_file");
        assert!(error.why.contains(why) && !error.why.contains("secret"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn files_that_others_can_write_are_rejected() {
    use std::os::unix::fs::PermissionsExt;

    let authority = Authority::new();
    let tls = server(&authority, Some(authority.ca_file()));
    for (path, key) in [(&tls.key_file, "key_file"), (&authority.ca_file(), "client_ca_file")] {
        for (mode, is_taken) in [(0o666, false), (0o620, false), (0o644, true), (0o600, true)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            let loaded = tls.load();
            assert_eq!(loaded.is_ok(), is_taken, "{key} {mode:o}");
            assert!(loaded.err().is_none_or(|error| error.key == key));
        }
    }
}
