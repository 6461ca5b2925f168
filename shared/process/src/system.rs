//! Clock and ids of the machine.

use gantry_contract::{Clock, Ids};
use time::OffsetDateTime;
use uuid::Uuid;

/// The machine's clock, cut to the microseconds that databases keep, and UUIDv7.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc();
        // Cutting digits off a valid number of nanoseconds leaves a valid one.
        now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
    }
}

impl Ids for System {
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}
