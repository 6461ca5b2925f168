use gantry_config::{Secret, Sources};

use crate::{Settings, file, load, refused, sources};

fn password(sources: Sources) -> String {
    let settings: Settings = load(sources.variables([("GANTRY_DATABASE__USER", "shop")]));
    let database = settings.database.unwrap();
    assert_eq!(database.user, "shop");
    database.password.expose().to_owned()
}

#[test]
fn a_secret_is_never_shown() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret:?}"), "[redacted]");
    assert_eq!(secret.expose(), "hunter2");

    let file = file("[database]\nuser = 'shop'\npassword = 4711");
    let found = refused(sources().file(Some(file.path())));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("database.password: expected a string, found a number"));
    assert!(!found[0].contains("4711"));
}

#[test]
fn a_secret_is_read_from_the_named_file() {
    let secret = file("hunter2\n");
    let path = secret.path().to_str().unwrap();
    let variable = sources().variables([("GANTRY_DATABASE__PASSWORD_FILE", path)]);
    assert_eq!(password(variable), "hunter2");

    let settings = file(&format!("[database]\npassword_file = '{path}'"));
    assert_eq!(password(sources().file(Some(settings.path()))), "hunter2");
}

#[test]
fn a_byte_order_mark_is_not_part_of_a_secret() {
    let secret = file("\u{feff}hunter2\r\n");
    let path = secret.path().to_str().unwrap();
    let variable = sources().variables([("GANTRY_DATABASE__PASSWORD_FILE", path)]);
    assert_eq!(password(variable), "hunter2");
}

#[test]
fn the_later_of_value_and_file_holds() {
    let secret = file("from file");
    let path = secret.path().to_str().unwrap();
    let (value, named) =
        (("GANTRY_DATABASE__PASSWORD", "direct"), ("GANTRY_DATABASE__PASSWORD_FILE", path));
    assert_eq!(password(sources().variables([value, named])), "from file");
    assert_eq!(password(sources().variables([named, value])), "direct");
}

#[test]
fn digits_in_a_variable_are_a_secret_too() {
    let digits = sources().variables([("GANTRY_DATABASE__PASSWORD", "0042")]);
    assert_eq!(password(digits), "0042");
}

#[test]
fn a_secrets_file_that_cannot_be_read_is_named() {
    let found = refused(sources().variables([
        ("GANTRY_DATABASE__USER", "shop"),
        ("GANTRY_DATABASE__PASSWORD_FILE", "/nonexistent"),
    ]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("database.password_file: cannot read /nonexistent: "),
        "{found:?}"
    );
    assert!(found[0].ends_with("(variable GANTRY_DATABASE__PASSWORD_FILE)"), "{found:?}");
}

#[test]
fn only_a_secret_is_read_from_a_file() {
    let found = refused(sources().variables([("GANTRY_NAME_FILE", "/etc/hostname")]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("name_file: "), "{found:?}");
}

#[test]
fn operators_see_everything_but_secrets_of_any_source() {
    let secret = file("hunter3");
    let path = secret.path().to_str().unwrap();
    let user = ("GANTRY_DATABASE__USER", "hunter2");
    for password in
        [("GANTRY_DATABASE__PASSWORD", "hunter2"), ("GANTRY_DATABASE__PASSWORD_FILE", path)]
    {
        let sources = sources().variables([user, password]);
        let loaded = gantry_config::load_shown::<Settings>(sources).unwrap();
        assert!(loaded.settings.database.is_some());
        let shown = loaded.redacted();
        let database = &shown["database"];
        // By its place, not by its value, which another key has as well.
        assert_eq!(database["user"], "hunter2");
        assert_eq!(database["password"], "[redacted]");
        assert!(!shown.to_string().contains("hunter3"));
        assert_eq!(shown["name"], loaded.settings.name.as_str());
    }
}

/// A word that is nowhere else, and what it stands in: texts that look like other things.
fn odd_secret() -> (String, String) {
    let word: String = (0..16).map(|_| fastrand::alphanumeric()).collect();
    let around = [
        ("", ""),
        ("\"", ""),
        ("'", "'"),
        ("[", ""),
        ("[\"", "\"]"),
        ("{a = \"", "\"}"),
        ("0x", ""),
        ("-", ""),
        (" ", "\t"),
        ("\n", "\n"),
        ("ä€", "😀"),
        ("${", "}"),
        ("\\", "\\"),
        ("# ", ""),
    ];
    let (before, after) = fastrand::choice(around).unwrap();
    (format!("{before}{word}{after}"), word)
}

/// As a string of TOML.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n").replace('\t', "\\t"))
}

#[test]
fn no_secret_of_any_form_or_source_is_ever_shown() {
    for _ in 0..100 {
        let (secret, word) = odd_secret();
        let in_file = file(&secret);
        let path = in_file.path().to_str().unwrap();
        let direct = file(&format!("[database]\nuser = 'u'\npassword = {}", quoted(&secret)));
        let named = file(&format!("[database]\nuser = 'u'\npassword_file = '{path}'"));
        // Not quoted, it is mostly no TOML: then the error must not quote it either.
        let raw = file(&format!("[database]\nuser = 'u'\npassword = {secret}"));
        let nested = file(&format!("[database.password]\nuser = 'u'\ninner = {}", quoted(&secret)));
        let user = ("GANTRY_DATABASE__USER", "u");
        let all = [
            sources().variables([user, ("GANTRY_DATABASE__PASSWORD", &secret)]),
            sources().variables([user, ("GANTRY_DATABASE__PASSWORD_FILE", path)]),
            sources().variables([user, ("GANTRY_DATABASE__PASSWORD__INNER", &secret)]),
            sources().variables([user]).set("database.password", secret.clone(), "--password"),
            sources().file(Some(direct.path())),
            sources().file(Some(named.path())),
            sources().file(Some(raw.path())),
            sources().file(Some(nested.path())),
        ];
        for (number, sources) in all.into_iter().enumerate() {
            let wrong = if fastrand::bool() { "fast" } else { "neither" };
            let sources = sources.set("mode", wrong, "--mode");
            let output = match gantry_config::load_shown::<Settings>(sources) {
                Ok(loaded) => format!("{} {:?}", loaded.redacted(), loaded.settings),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!output.contains(&word), "{number} {secret:?}: {output}");
        }
    }
}
