//! End of a statement at the caller's deadline.
//!
//! SQLite calls a connection's progress handler while a statement runs, on the connection's own
//! thread. The handler ends the statement with `SQLITE_INTERRUPT` once the deadline has passed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use gantry_resilience::deadline::Deadline;
use sqlx::SqliteConnection;

/// Instructions of SQLite's virtual machine between two looks at the clock: some 20 us.
const INSTRUCTIONS: i32 = 1000;

/// Deadline of the statements on a connection: of the unit of work that writes, or of the caller that reads.
/// Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnitDeadline(Arc<Mutex<Option<Instant>>>);

impl UnitDeadline {
    /// Sets the deadline of the unit that begins, or of the next caller.
    pub(crate) fn set(&self, deadline: Option<Deadline>) {
        let deadline = deadline.map(|deadline| deadline.instant().into_std());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    /// Removes the deadline, before a COMMIT or a ROLLBACK: neither may be interrupted.
    pub(crate) fn clear(&self) {
        self.set(None);
    }

    /// Ends a statement that runs.
    pub(super) fn expire(&self) {
        let now = Some(Instant::now());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn has_passed(&self) -> bool {
        let deadline = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Installs the handler on a new connection.
    pub(super) async fn install(&self, conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let deadline = self.clone();
        let mut handle = conn.lock_handle().await?;
        handle.set_progress_handler(INSTRUCTIONS, move || !deadline.has_passed());
        Ok(())
    }
}
