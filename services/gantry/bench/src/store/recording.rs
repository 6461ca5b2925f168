//! Statements of a running suite, from its log.
//!
//! sqlx logs the text of each statement. The statements of a call are compared with its plan, and their
//! texts are those that a baseline replays: a baseline cannot differ from the code.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    engine::Engine,
    plan::{COMMITTED, Call, REPEATABLE, Use},
    stack::Stack,
    statement::{FREE_SAGAS, Statement},
};
use crate::{
    callers::{Caller, Method},
    error::BenchError,
    up::Up,
};

/// Settings of a suite that logs its statements.
pub(super) const SETTINGS: &str =
    "[telemetry]\nformat = \"json\"\nfilter = \"warn,sqlx::query=debug\"\n";

/// Texts by the begin of their statements.
pub(super) type Texts = BTreeMap<&'static str, &'static str>;

/// Times that a call is repeated if it had other statements: a saga that was faster than the look for its
/// outcome saves a read.
const ATTEMPTS: usize = 5;

/// Longest wait for the last statements of a call, which follow its response.
const SETTLED: Duration = Duration::from_secs(5);

/// Silence of the log after which no statement of a call is to come.
const SILENCE: Duration = Duration::from_millis(200);

/// Statements that are no part of a call: polls, counts for metrics, purges, and limits of time.
const APART: [&str; 4] =
    [FREE_SAGAS.head, "SELECT name, status, count(*)", "DELETE FROM", "SET statement_timeout"];

/// Begins of all known statements.
const HEADS: [&str; 26] = {
    use super::statement as is;
    [
        is::LOCK.head,
        is::REQUEST.head,
        is::NEW_REQUEST.head,
        is::GET_USER.head,
        is::PRODUCTS.head,
        is::OPEN_DRAFTS.head,
        is::NEW_ORDER.head,
        is::CHANGE_ORDER.head,
        is::NEW_EVENT.head,
        is::GET_ORDER.head,
        is::LIST_ORDERS.head,
        is::NEW_SAGA.head,
        FREE_SAGAS.head,
        is::CLAIM.head,
        is::APPEND.head,
        is::NEW_ENTRIES.head,
        is::RESERVATION.head,
        is::ITEMS.head,
        is::STOCKS.head,
        is::STORE_RESERVATION.head,
        is::NEW_ITEM.head,
        is::CHANGE_STOCK.head,
        REPEATABLE,
        COMMITTED,
        "COMMIT",
        "ROLLBACK",
    ]
};

/// Makes each call and returns the texts of its statements.
///
/// # Errors
/// [`BenchError::Drift`] if a call has other statements than its plan.
pub(super) async fn record(
    engine: Engine,
    suite: &Up,
    stack: &Stack,
    calls: &[Call],
) -> Result<Texts, BenchError> {
    let mut log = Log { path: suite.log(), read: 0 };
    let mut texts = Texts::new();
    // The first calls fetch keys and connect.
    for &call in calls {
        stack.clone().of(call).call(Method::Read, 0).await?;
    }
    for &call in calls {
        let expected = expected(engine, call);
        for attempt in 1.. {
            sleep(SILENCE).await;
            log.next().map_err(BenchError::Replica)?;
            stack.clone().of(call).call(Method::Read, 0).await?;
            match log.settled(&expected, &mut texts).await? {
                None => break,
                Some(difference) if attempt == ATTEMPTS => {
                    return Err(BenchError::Drift { call: call.name(), difference });
                }
                Some(_) => {}
            }
        }
    }
    Ok(texts)
}

/// Numbers of statements by the begin of their text.
type Counts = BTreeMap<String, usize>;

/// Returns the statements of a call. sqlx does not log transactions on SQLite.
fn expected(engine: Engine, call: Call) -> Counts {
    let mut counts = Counts::new();
    let mut count = |head: &str| *counts.entry(head.to_owned()).or_default() += 1;
    let is_made = |statement: &&Statement| {
        (engine == Engine::Postgres || !statement.locks) && !APART.contains(&statement.head)
    };
    for one in call.plan() {
        let (Use::Read(_, statements) | Use::Unit(_, _, statements)) = one;
        statements.iter().filter(is_made).for_each(|statement| count(statement.head));
        if let (Use::Unit(_, begin, _), Engine::Postgres) = (one, engine) {
            count(begin);
            count("COMMIT");
        }
    }
    counts
}

/// Log of a suite.
struct Log {
    path: PathBuf,
    read: u64,
}

impl Log {
    /// Waits for the statements of a call and adds their texts. Returns the difference from the expected
    /// ones, if there is one.
    async fn settled(
        &mut self,
        expected: &Counts,
        texts: &mut Texts,
    ) -> Result<Option<String>, BenchError> {
        let (until, mut counts) = (Instant::now() + SETTLED, Counts::new());
        loop {
            let before = counts == *expected;
            for text in self.next().map_err(BenchError::Replica)? {
                count(&text, &mut counts, texts);
            }
            if before && counts == *expected {
                return Ok(None);
            }
            if Instant::now() > until {
                return Ok(Some(format!("expected {expected:?}, made {counts:?}")));
            }
            sleep(SILENCE).await;
        }
    }

    /// Returns the statements since the last call.
    fn next(&mut self) -> io::Result<Vec<String>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut lines = String::new();
        file.read_to_string(&mut lines)?;
        // The last line may be incomplete.
        let lines = &lines[..lines.rfind('\n').map_or(0, |end| end + 1)];
        self.read += lines.len() as u64;
        Ok(lines.lines().filter_map(statement).collect())
    }
}

/// Returns the text of a statement from a line of the log.
fn statement(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").filter(|_| line["target"] == "sqlx::query")?;
    // A short statement is its own summary.
    let text = [&fields["db.statement"], &fields["summary"]];
    let text = text.iter().filter_map(|text| text.as_str()).find(|text| !text.is_empty())?;
    Some(text.trim().to_owned())
}

/// Counts a statement, and keeps its text.
fn count(text: &str, counts: &mut Counts, texts: &mut Texts) {
    let head = HEADS.into_iter().find(|head| text.starts_with(head));
    if let Some(head) = head {
        // A few statements, as long as the benchmark runs.
        texts.entry(head).or_insert_with(|| String::leak(text.to_owned()));
    }
    if !APART.iter().any(|apart| text.starts_with(apart)) {
        *counts.entry(head.unwrap_or(text).to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_from_the_log() {
        let line = r#"{"time":"t","target":"sqlx::query","message":"","fields":{"summary":"SELECT 1 FROM t …","db.statement":"\n\nSELECT 1 FROM t WHERE a\n"}}"#;
        assert_eq!(statement(line).as_deref(), Some("SELECT 1 FROM t WHERE a"));
        let line = r#"{"target":"sqlx::query","fields":{"summary":"COMMIT","db.statement":""}}"#;
        assert_eq!(statement(line).as_deref(), Some("COMMIT"));
        for line in ["", "{}", r#"{"target":"gantry","fields":{"summary":"COMMIT"}}"#] {
            assert_eq!(statement(line), None, "{line}");
        }
    }

    #[test]
    fn a_statement_counts_by_its_begin() {
        let (mut counts, mut texts) = (Counts::new(), Texts::new());
        let update = "UPDATE sagas\n SET status = $4";
        for text in [update, "COMMIT", "SELECT 2", "SET statement_timeout = 7", update] {
            count(text, &mut counts, &mut texts);
        }
        let expected = [("UPDATE sagas\n", 2), ("COMMIT", 1), ("SELECT 2", 1)];
        assert_eq!(counts, expected.map(|(head, number)| (head.to_owned(), number)).into());
        assert_eq!(texts["UPDATE sagas\n"], update);
    }

    #[test]
    fn no_begin_is_the_begin_of_another() {
        for (at, head) in HEADS.iter().enumerate() {
            let others = HEADS.iter().enumerate().filter(|(other, _)| *other != at);
            assert!(others.into_iter().all(|(_, other)| !other.starts_with(head)), "{head}");
        }
    }

    #[test]
    fn a_placed_order_commits_ten_times() {
        assert_eq!(expected(Engine::Postgres, Call::PlaceOrder)["COMMIT"], 10);
        assert!(!expected(Engine::Sqlite, Call::PlaceOrder).contains_key("COMMIT"));
    }
}
