//! Times in tables.

use sqlx::{Database, Decode, Encode, Type, encode::IsNull, error::BoxDynError};
use time::OffsetDateTime;

/// Time in a table: an INTEGER (`BIGINT`) of microseconds since 1970, in UTC.
///
/// A column of another value fails as [`StorageError::Corrupt`](crate::StorageError::Corrupt).
///
/// ```
/// #[derive(sqlx::FromRow)]
/// struct Thing {
///     name: String,
///     create_time: gantry_sql::StoredTime,
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredTime(pub OffsetDateTime);

impl StoredTime {
    fn micros(self) -> i64 {
        // The years that OffsetDateTime has are far within what an i64 of microseconds holds.
        (self.0.unix_timestamp_nanos() / 1_000) as i64
    }
}

impl<DB: Database> Type<DB> for StoredTime
where
    i64: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        i64::type_info()
    }

    fn compatible(ty: &DB::TypeInfo) -> bool {
        i64::compatible(ty)
    }
}

impl<'q, DB: Database> Encode<'q, DB> for StoredTime
where
    i64: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.micros().encode(buffer)
    }
}

impl<'r, DB: Database> Decode<'r, DB> for StoredTime
where
    i64: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        let nanos = i128::from(i64::decode(value)?) * 1_000;
        Ok(Self(OffsetDateTime::from_unix_timestamp_nanos(nanos)?))
    }
}
