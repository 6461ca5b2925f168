//! The folder of a service under test.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use gantry_discovery::Registry;
use gantry_identity::{ServiceSigner, SigningKey, UserClaims, UserSigner};
use gantry_process::{OpenService, ProcessSettings, Service};
use tempfile::TempDir;
use time::OffsetDateTime;

/// Folder with the keys, the settings and the database of one service.
///
/// The service trusts users' tokens signed with the key `users.pem`, and the services given to [`new`](Self::new).
/// Its limit per address is high, because all calls of a test come from one address.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
    service: &'static str,
}

impl Folder {
    /// Creates the folder of `S`, which trusts `callers`. `settings` are more lines of TOML for its table;
    /// `{folder}` in them is replaced by the folder's path.
    pub fn new<S: Service>(callers: &[&str], settings: &str) -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap(), service: S::NAME };
        this.make_key("users");
        this.make_key(S::NAME);
        let mut trusted = trusted(S::NAME, "gantry", "users", "users");
        for caller in callers {
            this.make_key(caller);
            trusted += &self::trusted(S::NAME, caller, "service", caller);
        }
        let mut storage = String::new();
        if S::MIGRATIONS.is_some() {
            storage += &format!("database.sqlite.path = '{{folder}}/data/{}.db'\n", S::NAME);
        }
        if S::MIGRATIONS.is_some() && S::CONTRACT.is_some() {
            storage += "idempotency.key_file = '{folder}/requests.key'";
        }
        let text = format!(
            r#"
                listen = "127.0.0.1:0"
                admin.listen = "127.0.0.1:0"
                discovery.kind = "memory"

                [{service}]
                server.limits.per_address = {{ per_second = 1e6, burst = 1000000 }}
                {storage}
                identity.key_file = "{{folder}}/{service}.pem"
                {settings}
                {trusted}
            "#,
            service = S::NAME
        );
        let folder = this.folder.path().display().to_string();
        fs::write(this.settings_file(), text.replace("{folder}", &folder)).unwrap();
        this
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the database.
    pub fn database(&self) -> PathBuf {
        self.path().join(format!("data/{}.db", self.service))
    }

    /// Creates or loads the key `{name}.pem`, with its public half `{name}.pub.pem`.
    pub fn make_key(&self, name: &str) -> SigningKey {
        SigningKey::load_or_create(&self.path().join(format!("{name}.pem"))).unwrap()
    }

    /// Replaces a part of the settings.
    pub fn change_settings(&self, from: &str, to: &str) {
        let before = fs::read_to_string(self.settings_file()).unwrap();
        assert!(before.contains(from), "{from} is not in {before}");
        fs::write(self.settings_file(), before.replace(from, to)).unwrap();
    }

    /// Returns the token of a user with this id and this role.
    #[expect(clippy::disallowed_methods, reason = "services check tokens by the real time")]
    pub fn user_token(&self, id: &str, role: &str) -> String {
        let claims = UserClaims {
            sub: id.to_owned(),
            email: "somebody@example.com".to_owned(),
            roles: vec![role.to_owned()],
            permissions: Vec::new(),
        };
        let signer = UserSigner::new(self.make_key("users"), Duration::from_secs(600));
        signer.token(&claims, OffsetDateTime::now_utc()).token
    }

    /// Returns the signer of a calling service's tokens.
    pub fn signer(&self, caller: &str) -> ServiceSigner {
        ServiceSigner::new(caller, self.make_key(caller))
    }

    /// Opens the service with the folder's settings, without environment variables.
    pub async fn open<S: Service>(&self, registry: &Registry) -> OpenService<S> {
        let sources = ProcessSettings::<S>::sources().file(Some(&self.settings_file()));
        let settings = gantry_config::load_shown::<ProcessSettings<S>>(sources).unwrap().settings;
        OpenService::open(settings.service, registry.clone(), None).await.unwrap()
    }

    fn settings_file(&self) -> PathBuf {
        self.path().join("settings.toml")
    }
}

fn trusted(service: &str, issuer: &str, issues: &str, key: &str) -> String {
    format!(
        r#"
            [[{service}.identity.trusted]]
            issuer = "{issuer}"
            issues = "{issues}"
            key_file = "{{folder}}/{key}.pub.pem"
        "#
    )
}
