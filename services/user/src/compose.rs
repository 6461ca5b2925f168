//! The service, put together: the only file that names adapters.

use std::sync::Arc;

use argon2::Params;
use gantry_contract::{Clock as _, Contract};
use gantry_identity::{Issues, KeyError, SigningKey, TrustedKey, USERS, UserSigner};
use gantry_process::{Base, Migrator, OpenError, System};
use gantry_proto::{
    CONTRACT,
    shop::user::v1::{
        auth_service_server::AuthServiceServer, user_service_server::UserServiceServer,
    },
};
use gantry_server::ServerBuilder;

use crate::{
    application::{CreateUser, EnsureAdmin, GetUser, ListUsers, Login, UseCases, UserError},
    inbound::grpc::Api,
    outbound::{
        argon2id::Argon2id,
        sqlite::{EXPIRED_TOKENS, MIGRATIONS, SqliteRepository},
        tokens::Tokens,
    },
    settings::{Bootstrap, Passwords, Settings},
};

/// The user service.
pub struct Service {
    api: Api,
    /// The use case that makes the first administrator.
    pub ensure_admin: EnsureAdmin,
}

impl gantry_process::Service for Service {
    const NAME: &'static str = "user";
    const ABOUT: &'static str = "Keeps the users and lets them log in";
    const CONTRACT: &'static Contract = &CONTRACT;
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const MIGRATIONS: Option<&'static Migrator> = Some(&MIGRATIONS);
    type Settings = Settings;

    /// Returns the keys that it publishes itself.
    fn trusted(settings: &Settings) -> Result<Vec<TrustedKey>, KeyError> {
        let trusted = |key| TrustedKey { issuer: USERS.to_owned(), issues: Issues::Users, key };
        Ok(settings.tokens.published_keys()?.into_iter().map(trusted).collect())
    }

    /// Opens the service, and makes the administrator of the settings.
    async fn open(base: &Base, settings: Settings) -> Result<Self, OpenError> {
        let Settings { tokens, passwords, bootstrap: Bootstrap { admin_email, admin_password } } =
            settings;
        let hasher = hasher(&passwords).await;
        let hasher = Arc::new(hasher.map_err(OpenError::service("cannot hash passwords"))?);
        let repository = Arc::new(SqliteRepository::new(base.database()?));
        let (users, hasher) = (|| repository.clone(), || hasher.clone());
        let (clock, ids) = (|| base.clock(), || base.ids());
        base.spawn(EXPIRED_TOKENS.keep_running(base.database()?, || System.now()));
        let signer = UserSigner::new(SigningKey::load(&tokens.key_file)?, tokens.access_ttl);
        let ensure_admin =
            EnsureAdmin { users: users(), hasher: hasher(), clock: clock(), ids: ids() };
        if !admin_email.is_empty() {
            let made = ensure_admin.run(&admin_email, admin_password.expose()).await;
            made.map_err(OpenError::service("cannot make the administrator"))?;
        }
        let use_cases = UseCases {
            create_user: CreateUser {
                users: users(),
                hasher: hasher(),
                clock: clock(),
                ids: ids(),
            },
            get_user: GetUser { users: users() },
            list_users: ListUsers { users: users() },
            login: Login {
                users: users(),
                refresh_tokens: users(),
                hasher: hasher(),
                tokens: Arc::new(Tokens::new(signer, &CONTRACT)),
                clock: clock(),
                ids: ids(),
                refresh_ttl: tokens.refresh_ttl,
            },
        };
        let keys = tokens.published_keys()?.into();
        Ok(Self { api: Api::new(use_cases, keys, base.fingerprints()?), ensure_admin })
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        let server = server.service(UserServiceServer::new(self.api.clone()));
        server.service(AuthServiceServer::new(self.api.clone()))
    }
}

async fn hasher(settings: &Passwords) -> Result<Argon2id, UserError> {
    let Passwords { memory_kib, iterations, lanes, parallel, waiting } = settings;
    let params = Params::new(*memory_kib, iterations.get(), lanes.get(), None);
    Argon2id::new(params.map_err(UserError::failed)?, parallel.get(), *waiting).await
}
