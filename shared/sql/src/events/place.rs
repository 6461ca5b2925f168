//! Place of a consumer in the events of an aggregate.

use crate::Connection;

/// Locks the row until the end of the unit.
const LOCK: &str =
    "SELECT sequence, parked FROM inbox WHERE consumer = $1 AND aggregate = $2 FOR UPDATE";

const INSERT: &str = "INSERT INTO inbox (consumer, aggregate, sequence, parked)
    VALUES ($1, $2, 0, FALSE) ON CONFLICT (consumer, aggregate) DO NOTHING";

const WRITE: &str =
    "UPDATE inbox SET sequence = $3, parked = $4 WHERE consumer = $1 AND aggregate = $2";

/// Place of a consumer in the events of an aggregate, locked by this unit of work.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) consumer: &'a str,
    pub(super) aggregate: &'a str,
    /// Sequence of the last event that took effect. Zero: none.
    pub(super) sequence: i64,
    /// An event failed. Later ones wait behind it.
    pub(super) parked: bool,
}

impl<'a> Place<'a> {
    /// Locks the place. Makes it if the aggregate is new.
    pub(super) async fn lock(
        conn: &mut Connection,
        consumer: &'a str,
        aggregate: &'a str,
    ) -> Result<Self, sqlx::Error> {
        let mut found = Self::find(conn, consumer, aggregate).await?;
        if found.is_none() {
            conn.query(INSERT).bind(consumer).bind(aggregate).execute().await?;
            // If another unit has made it meanwhile, this reads what that one wrote.
            found = Self::find(conn, consumer, aggregate).await?;
        }
        found.ok_or(sqlx::Error::RowNotFound)
    }

    async fn find(
        conn: &mut Connection,
        consumer: &'a str,
        aggregate: &'a str,
    ) -> Result<Option<Self>, sqlx::Error> {
        let row: Option<(i64, bool)> =
            conn.query(LOCK).bind(consumer).bind(aggregate).fetch_optional().await?;
        Ok(row.map(|(sequence, parked)| Self { consumer, aggregate, sequence, parked }))
    }

    /// Returns the sequence of the event that comes next.
    pub(super) fn next(&self) -> i64 {
        self.sequence.saturating_add(1)
    }

    /// Writes the place.
    pub(super) async fn write(&self, conn: &mut Connection) -> Result<(), sqlx::Error> {
        let write = conn.query(WRITE).bind(self.consumer).bind(self.aggregate);
        write.bind(self.sequence).bind(self.parked).execute().await.map(drop)
    }
}
