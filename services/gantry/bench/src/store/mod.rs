//! `gantry bench store`: targets of the storage, on SQLite and PostgreSQL.
//!
//! - `engine`, `server`, `pools`: databases, and connections to them without our code.
//! - `seed`, `goods`: stored rows, and the choice among them for each call.
//! - `plan`, `statement`, `recording`, `replay`: a call's statements, checked against those of a running
//!   suite, and replayed without it.
//! - `stack`: the same calls through the whole stack.
//! - `calls`, `stored`, `replicas`: scenarios.
//! - `delay`: a proxy that delays.

mod calls;
mod delay;
mod engine;
mod goods;
mod plan;
mod pools;
mod recording;
mod replay;
mod replicas;
mod seed;
mod server;
mod stack;
mod statement;
mod stored;

use clap::ValueEnum;

use self::engine::Engine;
pub(super) use self::pools::Pools;
use super::{args::StoreArgs, error::BenchError, row::Row, scenario};

/// Scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Calls beside their statements alone, on SQLite
    CallsSqlite,
    /// Calls beside their statements alone, on PostgreSQL
    CallsPostgres,
    /// Calls with few and with many stored orders, on SQLite
    StoredSqlite,
    /// Calls with few and with many stored orders, on PostgreSQL
    StoredPostgres,
    /// Three processes beside one, on PostgreSQL near by and behind a delay
    Replicas,
}

impl scenario::Scenario for Scenario {
    const BENCH: &'static str = "store";
    type Args = StoreArgs;

    async fn measure(self, args: &StoreArgs) -> Result<Vec<Row>, BenchError> {
        match self {
            Self::CallsSqlite => calls::measure(Engine::Sqlite, &args.run).await,
            Self::CallsPostgres => calls::measure(Engine::Postgres, &args.run).await,
            Self::StoredSqlite => stored::measure(Engine::Sqlite, args).await,
            Self::StoredPostgres => stored::measure(Engine::Postgres, args).await,
            Self::Replicas => replicas::measure(&args.run).await,
        }
    }
}
