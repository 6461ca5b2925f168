//! The service, put together: the only file that names adapters.

use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc};

use argon2::Params;
use gantry_contract::{Clock, Ids};
use gantry_discovery::Registry;
use gantry_identity::{
    Issues, KeyError, PublicKey, SigningKey, TrustedKey, USERS, UserSigner, Verifier,
};
use gantry_proto::{
    CONTRACT,
    shop::user::v1::{
        auth_service_server::AuthServiceServer, user_service_server::UserServiceServer,
    },
};
use gantry_server::{BuildError, Fingerprints, Server};
use gantry_sql::{Sqlite, requests};
use gantry_telemetry::{BUILD, Meter};
use time::OffsetDateTime;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    application::{
        CreateUser, EnsureAdmin, GetUser, ListUsers, Login, PasswordHasher, UseCases, UserError,
        UserRepository,
    },
    domain::{Email, Invalid, Name, Password},
    inbound::grpc::Api,
    outbound::{
        argon2id::Argon2id,
        sqlite::{self, MIGRATIONS, SqliteRepository},
        tokens::Tokens,
    },
    settings::{Bootstrap, NAME, Passwords, Settings},
};

/// What the first administrator is called.
const ADMIN_NAME: &str = "Administrator";

/// Why the service could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A key is missing or none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] gantry_sql::OpenError),
    /// Passwords cannot be hashed as configured.
    #[error("cannot hash passwords: {0}")]
    Passwords(#[source] UserError),
    /// The first administrator cannot be made.
    #[error("cannot make the administrator: {0}")]
    Admin(#[from] EnsureAdminError),
}

/// Why there is no administrator. Holds neither address nor password.
#[derive(Debug, thiserror::Error)]
pub enum EnsureAdminError {
    /// The address or the password breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The users could not be asked or written.
    #[error(transparent)]
    Failed(#[from] UserError),
}

/// The user service: one database, served by as many servers as are asked for.
pub struct Service {
    settings: Settings,
    registry: Registry,
    meter: Option<Meter>,
    verifier: Arc<Verifier>,
    /// What users' tokens are, were or will be signed with.
    keys: Arc<[PublicKey]>,
    fingerprints: Fingerprints,
    database: Sqlite,
    use_cases: UseCases,
    /// Forget what is no longer valid, for as long as the service is there.
    purges: [AbortOnDropHandle<()>; 2],
}

impl gantry_process::Service for Service {
    type Settings = Settings;
    type OpenError = OpenError;

    /// Opens what the service needs once, and makes the administrator of the
    /// settings.
    /// Where there is a meter, calls are measured with it.
    ///
    /// # Errors
    /// [`OpenError`]
    async fn open(
        settings: Settings,
        registry: Registry,
        meter: Option<Meter>,
    ) -> Result<Self, OpenError> {
        let fingerprints = settings.idempotency.fingerprints()?;
        let key = SigningKey::load(&settings.tokens.key_file)?;
        let keys = published(&key, &settings.tokens.published_key_files)?;
        // What it publishes it believes itself, and asks nobody.
        let own = keys.iter().map(|key| TrustedKey {
            issuer: USERS.to_owned(),
            issues: Issues::Users,
            key: key.clone(),
        });
        let verifier = settings.identity.verifier(NAME, |_| None)?.trusting(own);
        let hasher = hasher(&settings.passwords).await.map_err(OpenError::Passwords)?;
        let database = Sqlite::open(&settings.database, &MIGRATIONS).await?;
        let repository = Arc::new(SqliteRepository::new(database.clone()));
        let purges = [
            tokio::spawn(requests::keep_purged(database.clone(), || System.now())),
            tokio::spawn(sqlite::keep_purged(database.clone(), || System.now())),
        ];
        let users = || -> Arc<dyn UserRepository> { Arc::<SqliteRepository>::clone(&repository) };
        let hasher: Arc<dyn PasswordHasher> = Arc::new(hasher);
        let hasher = || Arc::clone(&hasher);
        let system = || Arc::new(System);
        let signer = UserSigner::new(key, settings.tokens.access_ttl);
        let use_cases = UseCases {
            create_user: CreateUser {
                users: users(),
                hasher: hasher(),
                clock: system(),
                ids: system(),
            },
            get_user: GetUser { users: users() },
            list_users: ListUsers { users: users() },
            login: Login {
                users: users(),
                refresh_tokens: Arc::<SqliteRepository>::clone(&repository),
                hasher: hasher(),
                tokens: Arc::new(Tokens::new(signer, &CONTRACT)),
                clock: system(),
                ids: system(),
                refresh_ttl: settings.tokens.refresh_ttl,
            },
            ensure_admin: EnsureAdmin {
                users: users(),
                hasher: hasher(),
                clock: system(),
                ids: system(),
            },
        };
        let service = Self {
            registry,
            meter,
            verifier: Arc::new(verifier),
            keys,
            fingerprints,
            database,
            use_cases,
            purges: purges.map(AbortOnDropHandle::new),
            settings,
        };
        if let Err(error) = service.bootstrap().await {
            service.close().await;
            return Err(error.into());
        }
        Ok(service)
    }

    /// One more server; all of them share the database.
    ///
    /// # Errors
    /// [`BuildError`] where the settings do not make one.
    fn server(&self) -> Result<Server, BuildError> {
        let api =
            Api::new(self.use_cases.clone(), Arc::clone(&self.keys), self.fingerprints.clone());
        let database = self.database.clone();
        Server::builder(NAME, &CONTRACT)
            .service(UserServiceServer::new(api.clone()))
            .service(AuthServiceServer::new(api))
            .settings(self.settings.server.clone())
            .version(BUILD.version)
            .verifier(Arc::clone(&self.verifier))
            .grants(self.settings.identity.grants.clone())
            .registry(self.registry.clone())
            .meter(self.meter.clone())
            .readiness("database", move || {
                let database = database.clone();
                async move { database.probe().await }
            })
            .build()
    }

    /// Finishes what has begun and lets go of the database. Its servers have
    /// drained before.
    async fn close(self) {
        drop(self.purges);
        self.database.close().await;
    }
}

impl Service {
    /// Whether somebody has this address.
    ///
    /// # Errors
    /// [`EnsureAdminError`]
    pub async fn user_exists(&self, email: &str) -> Result<bool, EnsureAdminError> {
        Ok(self.use_cases.ensure_admin.has_user(&Email::try_new(email)?).await?)
    }

    /// Makes an administrator, unless somebody has this address.
    ///
    /// # Errors
    /// [`EnsureAdminError`]
    pub async fn ensure_admin(&self, email: &str, password: &str) -> Result<(), EnsureAdminError> {
        let (email, password) = (Email::try_new(email)?, Password::try_new(password)?);
        Ok(self.use_cases.ensure_admin.run(email, Name::try_new(ADMIN_NAME)?, password).await?)
    }

    async fn bootstrap(&self) -> Result<(), EnsureAdminError> {
        let Bootstrap { admin_email, admin_password } = &self.settings.bootstrap;
        if admin_email.is_empty() {
            return Ok(());
        }
        self.ensure_admin(admin_email, admin_password.expose()).await
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The key that signs, and those that are published beside it.
fn published(signing: &SigningKey, files: &[PathBuf]) -> Result<Arc<[PublicKey]>, KeyError> {
    let others = files.iter().map(|path| PublicKey::load(path));
    let mut keys: Vec<_> =
        [Ok(signing.public())].into_iter().chain(others).collect::<Result<_, _>>()?;
    // The same file may be listed on all replicas, before and after it begins to sign.
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(key.key_id().to_owned()));
    Ok(keys.into())
}

async fn hasher(settings: &Passwords) -> Result<Argon2id, UserError> {
    let Passwords { memory_kib, iterations, lanes, parallel, waiting } = settings;
    let params = Params::new(*memory_kib, iterations.get(), lanes.get(), None);
    Argon2id::new(params.map_err(UserError::failed)?, parallel.get(), *waiting).await
}

/// The computer's clock and its randomness.
#[derive(Debug)]
struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is passed in elsewhere")]
    fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc();
        // Cutting digits off a valid number of nanoseconds leaves a valid one.
        now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
    }
}

impl Ids for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "this makes the ids that are passed in elsewhere"
    )]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}
