//! Processor time of this process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the processor time of all threads so far, in user space and in the kernel.
pub(super) fn used() -> Duration {
    // Neither part of this clock is negative.
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}
