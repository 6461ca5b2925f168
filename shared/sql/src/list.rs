//! Lists of texts as one parameter.

use sqlx::{Database, Encode, Postgres, Sqlite, Type, encode::IsNull, error::BoxDynError};

/// Texts bound as one parameter, for `column = ANY($n)`.
///
/// An array for PostgreSQL; for SQLite a JSON list, which its statement reads as rows.
///
/// ```
/// # async fn run(db: gantry_sql::Database) -> Result<(), sqlx::Error> {
/// use gantry_sql::TextList;
///
/// let names: Vec<(String,)> = db
///     .reader()
///     .await?
///     .query("SELECT name FROM things WHERE name = ANY($1)")
///     .bind(TextList::new(["mug", "jug"]))
///     .fetch_all()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextList(Vec<String>);

impl TextList {
    /// Makes the list of these texts.
    pub fn new(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(texts.into_iter().map(Into::into).collect())
    }
}

impl Type<Sqlite> for TextList {
    fn type_info() -> <Sqlite as Database>::TypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for TextList {
    fn encode_by_ref(
        &self,
        buffer: &mut <Sqlite as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        Encode::<Sqlite>::encode(serde_json::to_string(&self.0)?, buffer)
    }
}

impl Type<Postgres> for TextList {
    fn type_info() -> <Postgres as Database>::TypeInfo {
        <Vec<String> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for TextList {
    fn encode_by_ref(
        &self,
        buffer: &mut <Postgres as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode_by_ref(&self.0, buffer)
    }
}
