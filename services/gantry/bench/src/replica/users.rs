//! Users of a database behind tonic's server: one statement a call, without our code.

use std::path::Path;

use gantry_common::timestamp;
use gantry_proto::shop::user::v1::{
    CreateUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse, Tier, User, UserStatus,
    user_service_server::UserService,
};
use gantry_sql::StoredTime;
use sqlx::FromRow;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{error::BenchError, store::Pools};

/// The statement of GetUser.
const GET: &str = "SELECT id, email, name, status, tier, roles, version, create_time, update_time \
                   FROM users WHERE id = $1";

/// Handlers.
#[derive(Debug)]
pub(super) struct Users(Pools);

#[derive(FromRow)]
struct UserRow {
    id: Uuid,
    email: String,
    name: String,
    status: String,
    tier: String,
    roles: String,
    version: i64,
    create_time: StoredTime,
    update_time: StoredTime,
}

impl Users {
    /// Opens the database: a SQLite file, or a URL of PostgreSQL.
    pub(super) async fn open(database: &str) -> Result<Self, BenchError> {
        Ok(Self(match database.starts_with("postgres:") {
            true => Pools::postgres(database).await?,
            false => Pools::sqlite(Path::new(database)).await?,
        }))
    }

    async fn find(&self, id: Uuid) -> Result<Option<UserRow>, sqlx::Error> {
        match &self.0 {
            Pools::Sqlite { reader, .. } => {
                sqlx::query_as(GET).bind(id).fetch_optional(reader).await
            }
            Pools::Postgres { reader, .. } => {
                sqlx::query_as(GET).bind(id).fetch_optional(reader).await
            }
        }
    }
}

#[tonic::async_trait]
impl UserService for Users {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let id = Uuid::parse_str(&request.get_ref().id);
        let id = id.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let found = self.find(id).await.map_err(|error| Status::internal(error.to_string()))?;
        let row = found.ok_or_else(|| Status::not_found("no such user"))?;
        let mut user = User {
            id: row.id.to_string(),
            email: row.email,
            name: row.name,
            roles: row.roles.split(',').map(str::to_owned).collect(),
            etag: format!("v{}", row.version),
            create_time: Some(timestamp(row.create_time.0)),
            update_time: Some(timestamp(row.update_time.0)),
            ..User::default()
        };
        if row.status == "ACTIVE" {
            user.set_status(UserStatus::Active);
        }
        if row.tier == "REGULAR" {
            user.set_tier(Tier::Regular);
        }
        Ok(Response::new(user))
    }

    async fn create_user(&self, _: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("only GetUser is measured"))
    }

    async fn list_users(
        &self,
        _: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        Err(Status::unimplemented("only GetUser is measured"))
    }
}
