use gantry_config::ConfigError;
use gantry_process::ProcessSettings;

use super::*;
use crate::Service;

fn load(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let variables = KEYS.iter().chain(variables).copied();
    let sources = ProcessSettings::<Service>::sources().variables(variables);
    gantry_config::load::<ProcessSettings<Service>>(sources).map(|loaded| loaded.service.own)
}

const KEYS: [(&str, &str); 3] = [
    (
        "GANTRY_USER__IDENTITY__TRUSTED",
        r#"[{issuer = "gantry", issues = "users", key_file = "users-tokens.pub.pem"}]"#,
    ),
    ("GANTRY_USER__IDEMPOTENCY__KEY_FILE", "requests.key"),
    ("GANTRY_USER__TOKENS__KEY_FILE", "users-tokens.pem"),
];

#[test]
fn a_password_costs_19_mib_and_a_token_lasts_15_minutes() {
    let Settings { tokens, passwords, .. } = load(&[]).unwrap();
    assert_eq!(tokens.access_ttl, Duration::from_secs(15 * 60));
    assert_eq!(tokens.refresh_ttl, Duration::from_secs(30 * 24 * 60 * 60));
    let HashSettings { memory_kib, iterations, lanes, .. } = passwords;
    assert_eq!((memory_kib, iterations, lanes), (19456, 2, 1));
}

#[test]
fn all_problems_are_reported_at_once() {
    let wrong = [
        ("GANTRY_USER__TOKENS__ACCESS_TTL", "1s"),
        ("GANTRY_USER__PASSWORDS__MEMORY_KIB", "7"),
        ("GANTRY_USER__PASSWORDS__ITERATIONS", "0"),
    ];
    let error = load(&wrong).unwrap_err();
    let mut keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    let expected =
        ["user.passwords.iterations", "user.passwords.memory_kib", "user.tokens.access_ttl"];
    assert_eq!(keys, expected);
}

#[test]
fn a_weak_admin_password_is_rejected_and_never_shown() {
    let admin = ("GANTRY_USER__BOOTSTRAP__ADMIN_EMAIL", "admin@gantry.local");
    let password = ("GANTRY_USER__BOOTSTRAP__ADMIN_PASSWORD", "horse");
    let error = load(&[admin, password]).unwrap_err().to_string();
    assert!(error.starts_with("user.bootstrap.admin_password: "), "{error}");
    assert!(!error.contains("horse"), "{error}");
    let settings = load(&[admin, (password.0, "correct horse")]).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("horse") && !shown.contains("admin@"), "{shown}");
}

#[test]
fn production_rejects_a_guessable_password_and_a_cheap_hash() {
    let of_admin = |password: &'static str| {
        [
            ("GANTRY_PROFILE", "production"),
            ("GANTRY_USER__SERVER__REFLECTION", "off"),
            ("GANTRY_USER__BOOTSTRAP__ADMIN_EMAIL", "admin@example.org"),
            ("GANTRY_USER__BOOTSTRAP__ADMIN_PASSWORD", password),
            ("GANTRY_USER__PASSWORDS__MEMORY_KIB", "19455"),
        ]
    };
    let strong = of_admin("correct horse battery staple");
    let error = load(&strong).unwrap_err();
    let told: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["user.passwords.memory_kib: expected at least 19456 in production with iterations = 2 \
          (variable GANTRY_USER__PASSWORDS__MEMORY_KIB)"]
    );
    for (password, why) in [
        ("short, you see", "fewer than 16 characters"),
        ("ababababababababab", "fewer than 6 different"),
        ("my long Password 9", "guessed first"),
    ] {
        let error = load(&of_admin(password)).unwrap_err().to_string();
        let line = error.lines().find(|line| line.starts_with("user.bootstrap.admin_password: "));
        assert!(line.is_some_and(|line| line.contains(why)), "{error}");
        assert!(!error.contains(password), "{error}");
    }
    // Three passes need less memory.
    let cheaper = [
        ("GANTRY_USER__PASSWORDS__ITERATIONS", "3"),
        ("GANTRY_USER__PASSWORDS__MEMORY_KIB", "12288"),
    ];
    load(&[&strong[..4], &cheaper].concat()).unwrap();
    load(&of_admin("ababababababababab")[2..4]).unwrap();
}
