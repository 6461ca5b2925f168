use std::{env, fs, process::Command, time::Duration};

use gantry_config::{Args, Check, Problems, Sources};
use serde::Deserialize;

use crate::{DEFAULTS, Mode, Settings, file, load, refused, sources};

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
fn one_table_of_a_default_file_can_be_used_alone() {
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
fn an_env_file_is_read_if_named_and_can_be_overridden() {
    const CHILD: &str = "CONFIG_TEST_CHILD";
    let args = |env_file: Option<&str>| Args {
        config: Some("settings.toml".into()),
        env_file: env_file.map(Into::into),
    };
    if let Ok(case) = env::var(CHILD) {
        let flag = (case == "flag").then_some(".env");
        let loaded = gantry_config::load_shown::<Settings>(args(flag).add_to(sources())).unwrap();
        let settings = &loaded.settings;
        let read = loaded.origin.files.iter().any(|file| file.ends_with(".env"));
        assert_eq!(read, case != "unnamed", "{case}");
        assert_eq!(settings.name, if read { "dotenv" } else { "user" });
        assert_eq!(settings.mode, Mode::Safe, "the file of --config goes before");
        assert_eq!(settings.server.max_message, 2, "the environment goes before");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dotenv = "\u{feff}# comment\r\nexport GANTRY_NAME=\"dotenv\" # comment\r\nOTHER=x\r\n\
                  GANTRY_MODE = 'fast'\r\nGANTRY_SERVER__MAX_MESSAGE=1\r\nGANTRY_SERVER__DRAIN=\r\n";
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    fs::write(folder.path().join("settings.toml"), "mode = 'safe'").unwrap();
    for case in ["unnamed", "flag", "variable"] {
        let mut command = Command::new(env::current_exe().unwrap());
        let name = "an_env_file_is_read_if_named_and_can_be_overridden";
        command.args(["--exact", &format!("sources::{name}")]);
        command.env(CHILD, case).env("GANTRY_SERVER__MAX_MESSAGE", "2");
        command.env("GANTRY_ENV_FILE", if case == "variable" { ".env" } else { "" });
        let output = command.current_dir(folder.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{case}: {text}");
    }
}

#[test]
fn every_bad_line_of_an_env_file_is_named() {
    let dotenv =
        file("GANTRY_NAME=`x`\nGANTRY_NMAE=a\nGANTRY_ENV_FILE=b\nGANTRY_SERVER__MAX_MESSAGE=lots");
    let name = dotenv.path().display().to_string();
    let found = refused(sources().env_file(Some(dotenv.path())));
    assert_eq!(found.len(), 4, "{found:?}");
    for line in ["line 1", "line 2", "line 3", "line 4"] {
        let at = format!("({name} {line})");
        assert!(found.iter().any(|problem| problem.ends_with(&at)), "{line}: {found:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let file = file("");
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        for sources in [sources().file(Some(file.path())), sources().env_file(Some(file.path()))] {
            let found = refused(sources);
            let mends = format!("chmod go-w {}", file.path().display());
            assert!(found.len() == 1 && found[0].contains(&mends), "{found:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_file_of_another_user_is_refused() {
    let file = file("");
    // Only root can give a file away.
    if std::os::unix::fs::chown(file.path(), Some(4711), None).is_err() {
        return;
    }
    for sources in [sources().file(Some(file.path())), sources().env_file(Some(file.path()))] {
        let found = refused(sources);
        assert!(found.len() == 1 && found[0].contains("belongs to user 4711"), "{found:?}");
        assert!(found[0].contains("chown "), "{found:?}");
    }
}

#[test]
fn an_empty_variable_is_not_set() {
    let settings = load(sources().variables([
        ("GANTRY_NAME", ""),
        ("GANTRY_SERVER__MAX_MESSAGE", ""),
        ("GANTRY_DATABASE__PASSWORD_FILE", ""),
        ("GANTRY_UNKNOWN", ""),
    ]));
    assert_eq!((settings.name.as_str(), settings.server.max_message), ("user", 4_194_304));
    assert!(settings.database.is_none());
}

#[test]
fn service_links_are_ignored_and_listed() {
    let links = [
        ("GANTRY_PORT", "tcp://10.0.0.7:50051"),
        ("GANTRY_SERVICE_HOST", "10.0.0.7"),
        ("GANTRY_USER_PORT_50051_TCP_ADDR", "10.0.0.7"),
        ("GANTRY_NAME_NAME", "/web/gantry_name"),
        ("GANTRY_NAME_ENV_PATH", "/bin"),
    ];
    let loaded = gantry_config::load_shown::<Settings>(sources().variables(links)).unwrap();
    assert_eq!(loaded.origin.service_links, links.map(|(name, _)| name));
    let found = refused(sources().variables(links).variables([("GANTRY_PROT", "50051")]));
    assert!(found.len() == 1 && found[0].starts_with("prot: unknown key"), "{found:?}");
}

#[test]
fn settings_are_shown_with_their_sources() {
    let file = file("[server]\ndrain = '1m'");
    let variables =
        [("GANTRY_NAME", "shop"), ("GANTRY_DISCOVERY__STATIC__USER", "['127.0.0.1:1']")];
    let loaded = gantry_config::load_shown::<Settings>(
        sources().file(Some(file.path())).variables(variables),
    );
    let loaded = loaded.unwrap();
    let file_name = file.path().display();
    for line in [
        "name = \"shop\"  # variable GANTRY_NAME",
        "mode = \"fast\"  # built-in defaults",
        &format!("server.drain = \"1m\"  # file {file_name}"),
    ] {
        assert!(loaded.lines().lines().any(|found| found == line), "{line}: {}", loaded.lines());
    }
    let shown = loaded.redacted();
    assert_eq!((&shown["name"], &shown["server"]["drain"]), (&"shop".into(), &"1m".into()));
    let sources = &shown["sources"];
    assert_eq!(sources["name"], "variable GANTRY_NAME");
    assert_eq!(sources["mode"], "built-in defaults");
    assert_eq!(sources["server.drain"], format!("file {}", file.path().display()));
    assert_eq!(sources["discovery.static.user"], "variable GANTRY_DISCOVERY__STATIC__USER");
}
