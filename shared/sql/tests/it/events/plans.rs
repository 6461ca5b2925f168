//! Plans of the relay's statements, with many events that wait.

use std::path::Path;

use gantry_sql::{Connection, TextList};
use gantry_sql_testing::statements::statements;

use super::{Replicas, both, execute};

/// A million of them make the same plans, and a slow test.
const FILL: &str = "WITH RECURSIVE numbers (n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 50000)
    INSERT INTO outbox (aggregate, sequence, kind, schema, data, create_time, publish_time)
    SELECT 'order/' || substr('00000000-0000-0000-0000-000000000000', 1, 36 - length(CAST(n AS TEXT)))
               || CAST(n AS TEXT),
           1, 'order.placed', 'shop.events.v1.OrderPlaced', $1, n,
           CASE WHEN n % 2 = 0 THEN n ELSE NULL END
      FROM numbers";

/// Returns the plan of the statement of the outbox that has this text in it.
async fn plan(conn: &mut Connection, is_shared: bool, part: &str, args: Args) -> String {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/events"));
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let found = statements(shared).into_iter().filter(|it| it.at.starts_with(source));
    let found: Vec<_> = found.filter(|it| it.text.contains(part)).collect();
    assert_eq!(found.len(), 1, "statements that have {part}");
    let statement = &found[0];
    let explain = if is_shared { "EXPLAIN" } else { "EXPLAIN QUERY PLAN" };
    let query = conn.query(format!("{explain} {}", statement.text).leak());
    let query = match args {
        Args::None => query,
        Args::Page => query.bind(TextList::new(["order/1"])).bind(100_i64),
        Args::Number(number) => query.bind(number),
        Args::Pairs => query.bind("[[\"order/1\", 1]]"),
        Args::Before => query.bind(1000_i64).bind(1000_i64),
    };
    if is_shared {
        let lines: Vec<(String,)> = query.fetch_all().await.unwrap();
        lines.into_iter().map(|(line,)| line + "\n").collect()
    } else {
        let steps: Vec<(i64, i64, i64, String)> = query.fetch_all().await.unwrap();
        steps.into_iter().map(|(_, _, _, step)| step + "\n").collect()
    }
}

enum Args {
    None,
    Page,
    Number(i64),
    Pairs,
    Before,
}

#[tokio::test]
async fn the_relay_reads_only_indexes_of_what_waits() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let filled: Result<u64, sqlx::Error> = db
            .write((), |conn, ()| Box::pin(conn.query(FILL).bind(b"x".as_slice()).execute()))
            .await;
        assert_eq!(filled.unwrap(), 50_000);
        execute(db, "ANALYZE").await;
        for (part, args, index) in [
            ("AS page", Args::Page, "outbox_unpublished"),
            ("AS counted", Args::Number(1000), "outbox_unpublished"),
            (" - create_time", Args::None, "outbox_unpublished"),
            ("publish_time IS NULL AND (aggregate, sequence)", Args::Pairs, "outbox_by_aggregate"),
            ("publish_time < ", Args::Before, "outbox_published"),
        ] {
            let mut conn = db.reader().await.unwrap();
            let plan = plan(&mut conn, db.is_shared(), part, args).await;
            assert!(plan.contains(index), "{part}: {plan}");
            // Neither engine looks at a row that it does not return.
            assert!(
                !plan.contains("Seq Scan") && !plan.contains("SCAN outbox\n"),
                "{part}: {plan}"
            );
        }
    }
}
