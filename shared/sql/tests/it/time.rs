//! Times in tables.

use gantry_sql::{StorageError, StoredTime};
use time::{OffsetDateTime, macros::datetime};

use crate::Fixture;

#[tokio::test]
async fn a_time_reads_back_cut_to_microseconds() {
    let Fixture { db, folder: _folder } = Fixture::new().await;
    for (written, read) in [
        (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH),
        (datetime!(2026-01-02 03:04:05.678901 UTC), datetime!(2026-01-02 03:04:05.678901 UTC)),
        (datetime!(2026-01-02 03:04:05.678901999 UTC), datetime!(2026-01-02 03:04:05.678901 UTC)),
        (datetime!(2026-01-02 05:04:05 +2), datetime!(2026-01-02 03:04:05 UTC)),
        (datetime!(1969-12-31 23:59:59 UTC), datetime!(1969-12-31 23:59:59 UTC)),
    ] {
        let mut conn = db.reader().await.unwrap();
        let stored = conn.query("SELECT $1").bind(StoredTime(written));
        let stored: StoredTime = stored.fetch_value().await.unwrap();
        assert_eq!((stored.0, stored.0.offset()), (read, time::UtcOffset::UTC));
    }
}

#[tokio::test]
async fn a_number_that_is_no_time_is_corrupt() {
    let Fixture { db, folder: _folder } = Fixture::new().await;
    let mut conn = db.reader().await.unwrap();
    let read: Result<StoredTime, _> = conn.query("SELECT $1").bind(i64::MAX).fetch_value().await;
    let error = StorageError::from(read.unwrap_err());
    assert!(matches!(error, StorageError::Corrupt(_)), "{error:?}");
}
