//! Limits of uploads: messages that have begun and are not complete.
//!
//! A call takes its concurrency permit when its message is complete (see [`shed`](super::shed)).
//! Until then it is an upload. It costs only memory, and has its own limits:
//! - Grace: a message that is complete within [`GRACE`] is not limited, because there is always a
//!   delay between the headers of a call and its message.
//! - Number: `max` in total, `max_per_caller` and `max_per_address`. The last quarter is reserved
//!   for callers and addresses with fewer than [`FEW`].
//! - Bytes: `max_bytes` in total, and half of it per caller. The last quarter is reserved for
//!   callers that hold up to [`FEW_BYTES`].
//! - Time: `timeout`, plus one second for each `min_bytes_per_second` received, like Apache's
//!   `RequestReadTimeout`.
//!
//! The same limits apply to each message of a request stream once it has begun.

mod wait;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gantry_contract::{Failure, GantryReason};
use gantry_resilience::limits::Holdings;
use tonic::{Code, Status};

pub(super) use self::wait::Wait;
use crate::{call::CallerHashes, settings::UploadSettings, status::retry_later};

/// Time within which a message may complete without counting as an upload.
const GRACE: Duration = Duration::from_millis(100);

/// Number of uploads below which a caller or address may use the reserved quarter.
const FEW: u64 = 4;

/// Number of bytes up to which a caller may use the reserved quarter.
const FEW_BYTES: u64 = 64 * 1024;

/// Retry delay if there are too many uploads, jittered by half.
const AWAY: Duration = Duration::from_secs(1);

/// Uploads of a server.
#[derive(Debug)]
pub(crate) struct Uploads {
    settings: UploadSettings,
    calls: AtomicU64,
    by_caller: Holdings,
    by_source: Holdings,
    bytes: AtomicU64,
    bytes_by_caller: Holdings,
}

/// Limit that an upload exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// `max_per_caller`, or the caller's share of `max`.
    Caller,
    /// `max_per_address`, or the address's share of `max`.
    Address,
    /// `max`.
    All,
    /// `max_bytes`, or the caller's share of it.
    Bytes,
}

impl From<Beyond> for Status {
    fn from(beyond: Beyond) -> Self {
        let (limit, what) = match beyond {
            Beyond::Caller => ("caller", "this caller has too many incomplete requests"),
            Beyond::Address => ("address", "this address has too many incomplete requests"),
            Beyond::All => ("uploads", "the server has too many incomplete requests"),
            Beyond::Bytes => {
                ("upload_bytes", "this caller's incomplete requests hold too many bytes")
            }
        };
        let failure = Failure::new(Code::ResourceExhausted, GantryReason::TooManyUploads, what);
        retry_later(failure.metadata("limit", limit), AWAY.mul_f64(0.5 + fastrand::f64()))
    }
}

impl Uploads {
    pub(crate) fn new(settings: &UploadSettings) -> Self {
        Self {
            settings: settings.clone(),
            calls: AtomicU64::new(0),
            by_caller: Holdings::new(),
            by_source: Holdings::new(),
            bytes: AtomicU64::new(0),
            bytes_by_caller: Holdings::new(),
        }
    }

    fn count(&self, CallerHashes { caller, source }: CallerHashes) -> Result<(), Beyond> {
        let max = u64::from(self.settings.max);
        let take_all = || take(&self.calls, 1, max).map_err(|()| Beyond::All);
        let may = |held: u64, most: u32| {
            let crowded = self.calls.load(Ordering::Relaxed) >= max - max / 4;
            held < u64::from(most).min(if crowded { FEW } else { u64::MAX })
        };
        self.by_caller.try_add(caller, 1, |held| {
            if !may(held, self.settings.max_per_caller) {
                return Err(Beyond::Caller);
            }
            if caller == source {
                return take_all();
            }
            self.by_source.try_add(source, 1, |held| {
                if !may(held, self.settings.max_per_address) {
                    return Err(Beyond::Address);
                }
                take_all()
            })
        })
    }

    fn uncount(&self, CallerHashes { caller, source }: CallerHashes) {
        self.by_caller.remove(caller, 1);
        if caller != source {
            self.by_source.remove(source, 1);
        }
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    fn hold(&self, caller: u64, bytes: u64) -> Result<(), Beyond> {
        let max = u64::from(self.settings.max_bytes);
        self.bytes_by_caller.try_add(caller, bytes, |held| {
            let holds = held.saturating_add(bytes);
            let bound = match holds {
                _ if holds <= FEW_BYTES => max,
                _ if holds <= max / 2 => max - max / 4,
                _ => return Err(Beyond::Bytes),
            };
            take(&self.bytes, bytes, bound).map_err(|()| Beyond::Bytes)
        })
    }

    fn release(&self, caller: u64, bytes: u64) {
        self.bytes_by_caller.remove(caller, bytes);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Adds to the sum unless it would exceed `max`.
fn take(sum: &AtomicU64, amount: u64, max: u64) -> Result<(), ()> {
    let taken = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| {
        sum.checked_add(amount).filter(|sum| *sum <= max)
    });
    taken.map(|_| ()).map_err(|_| ())
}

/// Upload that counts until it is dropped.
#[derive(Debug)]
struct Upload {
    uploads: Arc<Uploads>,
    key: CallerHashes,
    counted: bool,
    bytes: u64,
}

impl Upload {
    fn new(uploads: Arc<Uploads>, key: CallerHashes) -> Self {
        Self { uploads, key, counted: false, bytes: 0 }
    }

    fn count(&mut self) -> Result<(), Beyond> {
        if !self.counted {
            self.uploads.count(self.key)?;
            self.counted = true;
        }
        Ok(())
    }

    /// Sets the number of bytes held by the upload.
    fn hold(&mut self, bytes: u64) -> Result<(), Beyond> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.uploads.hold(self.key.caller, more)?,
            None => self.uploads.release(self.key.caller, self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.counted {
            self.uploads.uncount(self.key);
        }
        if self.bytes > 0 {
            self.uploads.release(self.key.caller, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uploads(change: impl FnOnce(&mut UploadSettings)) -> Arc<Uploads> {
        let mut settings = UploadSettings::default();
        change(&mut settings);
        Arc::new(Uploads::new(&settings))
    }

    fn begin(uploads: &Arc<Uploads>, caller: u64, source: u64) -> Result<Upload, Beyond> {
        let mut upload = Upload::new(Arc::clone(uploads), CallerHashes { caller, source });
        upload.count().map(|()| upload)
    }

    fn all_of(uploads: &Arc<Uploads>, caller: u64) -> Vec<Upload> {
        std::iter::from_fn(|| begin(uploads, caller, caller).ok()).collect()
    }

    #[test]
    fn callers_and_addresses_have_separate_limits() {
        let uploads = uploads(|settings| {
            (settings.max, settings.max_per_caller, settings.max_per_address) = (1000, 3, 5);
        });
        let first: Vec<_> = (0..3).map(|_| begin(&uploads, 1, 100).unwrap()).collect();
        assert_eq!(begin(&uploads, 1, 100).unwrap_err(), Beyond::Caller);
        assert_eq!(begin(&uploads, 1, 101).unwrap_err(), Beyond::Caller);
        let _second: Vec<_> = (0..2).map(|_| begin(&uploads, 2, 100).unwrap()).collect();
        assert_eq!(begin(&uploads, 2, 100).unwrap_err(), Beyond::Address);
        let _elsewhere = begin(&uploads, 2, 101).unwrap();
        drop(first);
        let _again = begin(&uploads, 1, 100).unwrap();
    }

    #[test]
    fn a_quarter_is_reserved_for_callers_with_few_uploads() {
        let uploads = uploads(|settings| (settings.max, settings.max_per_caller) = (100, 30));
        let greedy: Vec<_> = (1..=5).map(|caller| all_of(&uploads, caller)).collect();
        let held: Vec<_> = greedy.iter().map(Vec::len).collect();
        assert_eq!(held, [30, 30, 15, 4, 4]);
        let newcomers: Vec<_> = (10..14).map(|caller| all_of(&uploads, caller).len()).collect();
        assert_eq!(newcomers, [4, 4, 4, 4], "a newcomer gets a share");
    }

    fn holder(uploads: &Arc<Uploads>, caller: u64) -> Upload {
        Upload::new(Arc::clone(uploads), CallerHashes { caller, source: caller })
    }

    #[test]
    fn bytes_are_limited_in_total_and_per_caller() {
        const MIB: u64 = 1024 * 1024;
        let uploads = uploads(|settings| settings.max_bytes = 64 * MIB as u32);
        let (mut first, mut second) = (holder(&uploads, 1), holder(&uploads, 2));
        assert_eq!(first.hold(32 * MIB + 1), Err(Beyond::Bytes));
        first.hold(32 * MIB).unwrap();
        assert_eq!(second.hold(17 * MIB), Err(Beyond::Bytes));
        second.hold(16 * MIB).unwrap();
        // The rest is reserved for callers that hold little.
        let mut modest: Vec<_> = (3..).map(|caller| holder(&uploads, caller)).take(257).collect();
        assert_eq!(modest[0].hold(FEW_BYTES + 1), Err(Beyond::Bytes));
        let held = modest.iter_mut().filter_map(|upload| upload.hold(FEW_BYTES).ok()).count();
        assert_eq!(held, 256);
        first.hold(MIB).unwrap();
        second.hold(20 * MIB).unwrap();
    }

    #[test]
    fn ended_uploads_are_not_counted() {
        let uploads = uploads(|_| {});
        let mut upload = begin(&uploads, 1, 2).unwrap();
        upload.hold(10).unwrap();
        let refused = Upload::new(Arc::clone(&uploads), CallerHashes { caller: 3, source: 4 });
        drop((upload, refused));
        let Uploads { calls, by_caller, by_source, bytes, bytes_by_caller, .. } = &*uploads;
        assert_eq!((calls.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed)), (0, 0));
        assert!(by_caller.is_empty() && by_source.is_empty() && bytes_by_caller.is_empty());
    }
}
