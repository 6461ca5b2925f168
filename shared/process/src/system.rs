//! System clock and ids.

use gantry_contract::{Clock, Ids};
use time::OffsetDateTime;
use uuid::Uuid;

/// System clock, truncated to microseconds, the precision of databases; and UUIDv7 ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc();
        // A truncated number of nanoseconds is valid.
        now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
    }
}

impl Ids for System {
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}
