//! Rows of the saga log, and what they say.

use gantry_saga::{Claimed, Count, Entry, History, Recorded, Status, Summary};
use uuid::Uuid;

use crate::{Connection, StorageError, StoredTime};

/// A saga.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct SagaRow {
    pub(super) id: Uuid,
    name: String,
    input: String,
    context: String,
    status: String,
    epoch: i64,
    length: i64,
    create_time: StoredTime,
    update_time: StoredTime,
}

/// Number of sagas of one name and status.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct CountRow {
    name: String,
    status: String,
    number: i64,
}

/// One append to a saga's log.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Appended {
    create_time: StoredTime,
    entries: String,
}

impl SagaRow {
    /// Reads the saga's appends, in order. A new saga has none.
    pub(super) async fn appends(
        &self,
        conn: &mut Connection,
    ) -> Result<Vec<Appended>, sqlx::Error> {
        if self.length == 0 { Ok(Vec::new()) } else { Appended::of(conn, self.id).await }
    }

    pub(super) fn claimed(self, appends: Vec<Appended>) -> Result<Claimed, StorageError> {
        let entries = recorded(appends)?.into_iter().map(|recorded| recorded.entry).collect();
        let Self { id, name, input, context, epoch, .. } = self;
        let context = serde_json::from_str(&context).map_err(StorageError::corrupt)?;
        Ok(Claimed { id, name, input, context, epoch, entries })
    }

    pub(super) fn summary(self) -> Result<Summary, StorageError> {
        let Self { id, name, context, status, create_time, update_time, .. } = self;
        Ok(Summary {
            id,
            name,
            status: parse(&status)?,
            context: serde_json::from_str(&context).map_err(StorageError::corrupt)?,
            create_time: create_time.0,
            update_time: update_time.0,
        })
    }

    pub(super) fn history(self, appends: Vec<Appended>) -> Result<History, StorageError> {
        let (input, epoch) = (self.input.clone(), self.epoch);
        Ok(History { input, epoch, entries: recorded(appends)?, summary: self.summary()? })
    }
}

impl CountRow {
    pub(super) fn count(self) -> Result<Count, StorageError> {
        let Self { name, status, number } = self;
        Ok(Count { name, status: parse(&status)?, number: number.unsigned_abs() })
    }
}

impl Appended {
    /// Reads the appends to a saga's log, in order.
    pub(super) async fn of(conn: &mut Connection, saga: Uuid) -> Result<Vec<Self>, sqlx::Error> {
        conn.query(
            "SELECT create_time, entries FROM saga_entries WHERE saga_id = $1 ORDER BY position",
        )
        .bind(saga)
        .fetch_all()
        .await
    }
}

fn recorded(appends: Vec<Appended>) -> Result<Vec<Recorded>, StorageError> {
    let mut recorded = Vec::new();
    for Appended { create_time: StoredTime(time), entries } in appends {
        let entries: Vec<Entry> = serde_json::from_str(&entries).map_err(StorageError::corrupt)?;
        recorded.extend(entries.into_iter().map(|entry| Recorded { time, entry }));
    }
    Ok(recorded)
}

fn parse(status: &str) -> Result<Status, StorageError> {
    let unknown = || StorageError::corrupt(format!("a saga has the status {status:?}"));
    Status::parse(status).ok_or_else(unknown)
}
