use std::{env, fs, process::Command, time::Duration};

use gantry_config::{Check, Problems, Sources};
use serde::Deserialize;

use crate::{DEFAULTS, Mode, Settings, file, load, sources};

#[test]
fn later_sources_override_earlier_ones_key_by_key() {
    let file = file("name = 'file'\nmode = 'safe'\n[server]\nmax_message = 1\ndrain = '1s'");
    let settings = load(
        sources()
            .file(Some(file.path()))
            .variables([("GANTRY_SERVER__MAX_MESSAGE", "2"), ("GANTRY_SERVER__DRAIN", "2s")])
            .set("server.drain", "3s", "--drain"),
    );
    assert_eq!(settings.name, "file");
    assert_eq!(settings.mode, Mode::Safe);
    assert_eq!(settings.server.max_message, 2);
    assert_eq!(settings.server.drain, Duration::from_secs(3));
    assert_eq!(settings.server.listen.port(), 50051);
}

#[test]
fn a_variable_is_read_as_what_the_setting_is() {
    let settings = load(sources().variables([
        ("GANTRY_NAME", "0123"),
        ("GANTRY_MODE", "safe"),
        ("GANTRY_DISCOVERY__STATIC__ORDER", r#"["127.0.0.1:1", "127.0.0.1:2"]"#),
        ("PATH", "/bin"),
    ]));
    assert_eq!(settings.name, "0123", "digits stay text where text is wanted");
    assert_eq!(settings.mode, Mode::Safe);
    assert_eq!(settings.discovery.r#static["order"].len(), 2);
}

#[test]
fn a_service_beside_others_brings_the_defaults_of_its_table_alone() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Suite {
        user: Settings,
        order: Settings,
    }
    impl Check for Suite {
        fn check(&self, problems: &mut Problems) {
            problems.within("user", &self.user);
            problems.within("order", &self.order);
        }
    }
    // As a service's own default.toml: the process's keys on top, the service's in its table.
    let text = |name: &str| {
        let in_table = DEFAULTS.replace("\n[", &format!("\n[{name}."));
        format!("listen = '127.0.0.1:1'\n[{name}]\n{in_table}")
    };
    let sources =
        || Sources::new().defaults_of("user", &text("user")).defaults_of("order", &text("order"));
    let suite: Suite =
        gantry_config::load(sources().variables([("GANTRY_ORDER__NAME", "order")])).unwrap();
    assert_eq!((suite.user.name.as_str(), suite.order.name.as_str()), ("user", "order"));

    let wrong = sources().variables([("GANTRY_ORDER__SERVER__DRAIN", "2m")]);
    let error = gantry_config::load::<Suite>(wrong).err().unwrap();
    assert_eq!(
        error.to_string(),
        "order.server.drain: expected at most 60s (variable GANTRY_ORDER__SERVER__DRAIN)"
    );
}

/// In a process of its own: the environment and the working folder are the process's.
#[test]
fn the_environment_overrides_the_dotenv_file() {
    const CHILD: &str = "CONFIG_TEST_CHILD";
    if env::var_os(CHILD).is_some() {
        let settings = load(sources().environment());
        assert_eq!(settings.name, "dotenv");
        assert_eq!(settings.mode, Mode::Safe);
        assert_eq!(settings.server.max_message, 2);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dotenv = "# comment\n\nexport GANTRY_NAME=\"dotenv\"\nOTHER=x\nGANTRY_MODE = 'safe'\n\
                  GANTRY_SERVER__MAX_MESSAGE=1\n";
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "sources::the_environment_overrides_the_dotenv_file"])
        .env(CHILD, "1")
        .env("GANTRY_SERVER__MAX_MESSAGE", "2")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
