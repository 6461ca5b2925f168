//! What this process has used of the processors.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of all threads of this process so far, in user space and in the
/// kernel.
pub(super) fn used() -> Duration {
    // Neither part of this clock is ever negative.
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}
