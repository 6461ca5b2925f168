//! Composition of the service. The only file that names adapters.

use std::sync::Arc;

use gantry_contract::{Clock as _, Contract};
use gantry_identity::{KeyError, PublicKey};
use gantry_process::{Base, Migrations, OpenError, SharedSecret, System};
use gantry_proto::{
    CONTRACT,
    shop::user::v1::{
        auth_service_server::AuthServiceServer, user_service_server::UserServiceServer,
    },
};
use gantry_server::ServerBuilder;

use crate::{
    application::{EnsureAdmin, Ports, UseCases},
    inbound::grpc::Api,
    outbound::{
        argon2id::Argon2id,
        sql::{EXPIRED_TOKENS, MIGRATIONS, SqlRepository},
        tokens::Tokens,
    },
    settings::Settings,
};

/// User service.
pub struct Service {
    api: Api,
    /// Use case that creates the first administrator.
    pub ensure_admin: EnsureAdmin,
}

impl gantry_process::Service for Service {
    const NAME: &'static str = "user";
    const ABOUT: &'static str = "Keeps the users and lets them log in";
    const CONTRACT: Option<&'static Contract> = Some(&CONTRACT);
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const MIGRATIONS: Option<&'static Migrations> = Some(&MIGRATIONS);
    type Settings = Settings;

    fn published_keys(settings: &Settings) -> Result<Vec<PublicKey>, KeyError> {
        settings.tokens.published_keys()
    }

    /// Opens the service and creates the first administrator if the settings name one.
    async fn open(base: &Base, settings: Settings) -> Result<Self, OpenError> {
        let Settings { tokens, passwords, bootstrap } = settings;
        let keys = tokens.published_keys()?;
        base.share_secret(&tokens.key_file, signing_key(&keys)).await?;
        let hasher = Argon2id::new(&passwords).await;
        let repository = Arc::new(SqlRepository::new(base.database()?));
        base.spawn(EXPIRED_TOKENS.keep_running(base.database()?, || System.now()));
        let ports = Ports {
            users: repository.clone(),
            refresh_tokens: repository,
            hasher: Arc::new(hasher.map_err(OpenError::service("cannot hash passwords"))?),
            tokens: Arc::new(Tokens::open(&tokens, &CONTRACT)?),
            clock: base.clock(),
            ids: base.ids(),
        };
        let ensure_admin = EnsureAdmin::new(&ports);
        if !bootstrap.admin_email.is_empty() {
            let password = bootstrap.admin_password.expose();
            let ensured = ensure_admin.run(&bootstrap.admin_email, password).await;
            ensured.map_err(OpenError::service("cannot make the administrator"))?;
        }
        let use_cases = UseCases::new(ports, tokens.refresh_ttl);
        let api = Api::new(use_cases, keys.into(), base.fingerprints()?);
        Ok(Self { api, ensure_admin })
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        let server = server.service(UserServiceServer::new(self.api.clone()));
        server.service(AuthServiceServer::new(self.api.clone()))
    }
}

/// Returns the signing key as replicas compare it. Each replica verifies the tokens of the others, so
/// it must publish their signing keys. `keys` are the published keys, the signing key first.
fn signing_key(keys: &[PublicKey]) -> SharedSecret {
    let mut ids = keys.iter().map(PublicKey::key_id);
    SharedSecret::new("tokens.key_file", ids.next().unwrap_or_default()).accepting(ids)
}
