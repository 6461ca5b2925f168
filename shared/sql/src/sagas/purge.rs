//! Deletion of sagas that ended long ago.

use crate::{Connection, StorageError, query::clock};

/// Ids of the `$2` sagas that ended first, at least `$1` microseconds ago.
macro_rules! ended {
    () => {
        concat!(
            "(SELECT id FROM sagas
               WHERE status IN ('completed', 'undone') AND update_time <= ",
            clock!(),
            " - $1 ORDER BY update_time, id LIMIT $2)"
        )
    };
}

const ENTRIES: &str = concat!("DELETE FROM saga_entries WHERE saga_id IN ", ended!());

/// Another process may have deleted the entries of other sagas than this one, and not committed yet: a
/// saga that has entries left is for the next time.
const SAGAS: &str = concat!(
    "DELETE FROM sagas WHERE id IN ",
    ended!(),
    " AND NOT EXISTS (SELECT 1 FROM saga_entries WHERE saga_id = sagas.id)"
);

/// Deletes up to `limit` sagas that ended `kept` microseconds ago or earlier. Returns their number.
pub(super) async fn purge(
    conn: &mut Connection,
    kept: i64,
    limit: i64,
) -> Result<u64, StorageError> {
    conn.query(ENTRIES).bind(kept).bind(limit).execute().await?;
    Ok(conn.query(SAGAS).bind(kept).bind(limit).execute().await?)
}
