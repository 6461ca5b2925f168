//! gRPC handlers of shop.user.v1: UserService and AuthService.
//!
//! Each method reads a command from a validated and authorized request, runs one use case, and
//! converts its result.

use std::sync::Arc;

use gantry_common::page_by_id;
use gantry_contract::page::PageRequest;
use gantry_identity::PublicKey;
use gantry_proto::shop::user::v1::{
    CreateUserRequest, GetJwksRequest, GetUserRequest, Jwks, ListUsersRequest, ListUsersResponse,
    LoginRequest, TokenPair, User, auth_service_server::AuthService,
    user_service_server::UserService,
};
use gantry_server::{Fingerprints, authorized};
use tonic::{Request, Response, Status};

use super::{
    convert,
    status::{USER, status},
};
use crate::{application::UseCases, domain::PasswordAttempt};

/// Handlers of both services. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    use_cases: UseCases,
    keys: Arc<[PublicKey]>,
    fingerprints: Fingerprints,
}

impl Api {
    /// Creates the handlers of these use cases. `keys` are published: past, present and future
    /// signing keys of users' tokens. `fingerprints` recognise repeated requests.
    pub(crate) fn new(
        use_cases: UseCases,
        keys: Arc<[PublicKey]>,
        fingerprints: Fingerprints,
    ) -> Self {
        Self { use_cases, keys, fingerprints }
    }
}

#[tonic::async_trait]
impl UserService for Api {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<User>, Status> {
        let scope = authorized(&request).scope.clone();
        let key = self.fingerprints.key(&request, &request.get_ref().request_id)?;
        let registration = convert::registration(request.into_inner(), key)?;
        let user = self.use_cases.create_user.run(registration, &scope).await.map_err(status)?;
        Ok(Response::new(convert::user(&user)))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let id = convert::user_id(&request.get_ref().id)?;
        let scope = &authorized(&request).scope;
        let user = self.use_cases.get_user.run(id, scope).await.map_err(status)?;
        Ok(Response::new(convert::user(&user)))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let ListUsersRequest { page_size, page_token, include_total } = request.get_ref();
        let page = page_by_id(PageRequest::new(USER, *page_size, page_token, *include_total)?)?;
        let scope = &authorized(&request).scope;
        let page = self.use_cases.list_users.run(&page, scope).await.map_err(status)?;
        Ok(Response::new(ListUsersResponse {
            users: page.items.iter().map(convert::user).collect(),
            total_size: page.total_size(),
            next_page_token: page.next_page_token,
        }))
    }
}

#[tonic::async_trait]
impl AuthService for Api {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<TokenPair>, Status> {
        let LoginRequest { email, password } = request.into_inner();
        let session = self
            .use_cases
            .login
            .run(&email, PasswordAttempt::new(password))
            .await
            .map_err(status)?;
        Ok(Response::new(convert::token_pair(&session)))
    }

    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<Jwks>, Status> {
        Ok(Response::new(Jwks { keys: self.keys.iter().map(convert::jwk).collect() }))
    }
}
