//! Pick of an endpoint and a connection for an attempt, and the wait for one.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use gantry_discovery::Status;
use gantry_resilience::{
    balance::{Balancer, Standing},
    deadline::Deadline,
};
use tokio::time::{Instant, timeout_at};

use super::{
    lease::Lease,
    shared::{Member, Shared},
};

/// Number of endpoints named in an error; the others are counted.
const NAMED: usize = 3;

/// Maximum length of an endpoint's error within another error, in bytes.
const WHY_BYTES: usize = 200;

/// Minimum time between two warnings about calls without an endpoint.
const WARN_AGAIN: Duration = Duration::from_secs(10);

/// Failure to get a stream in time.
#[derive(Debug)]
pub(crate) enum PickError {
    /// No endpoint was connected.
    NoEndpoint(String),
    /// All streams of all connections were in use until the deadline.
    Full(String),
}

/// Request for a stream.
#[derive(Debug)]
pub(crate) struct PickRequest {
    deadline: Deadline,
    /// End of the wait for an endpoint, once it has started.
    wait_until: Option<Instant>,
    /// True if a failed attempt is repeated, so that the call may try out an endpoint.
    repeatable: bool,
    /// Endpoints that have had the call: any other is preferred.
    pub(crate) tried: Vec<SocketAddr>,
    /// True if it does not wait for the reconnect pause of an endpoint.
    probe: bool,
}

impl PickRequest {
    /// Creates the request of the first attempt.
    pub(crate) fn new(deadline: Deadline, repeatable: bool, probe: bool) -> Self {
        Self { deadline, wait_until: None, repeatable, tried: Vec::new(), probe }
    }
}

impl Shared {
    /// Reserves a stream on the endpoint that the balancer picks. Waits for one within the deadline
    /// and `endpoint_wait`.
    ///
    /// # Errors
    /// [`PickError`] when that time is over. Nothing was sent.
    pub(crate) async fn pick(self: &Arc<Self>, call: &mut PickRequest) -> Result<Lease, PickError> {
        if let Some(lease) = self.try_pick(call) {
            return Ok(lease);
        }
        let _waiting = Waiting::new(&self.waiting);
        if std::mem::take(&mut call.probe) {
            self.current.load().members().iter().for_each(|member| member.connections().dial());
        }
        loop {
            let mut notified = pin!(self.available.notified());
            // From here on no notification is missed.
            notified.as_mut().enable();
            if let Some(lease) = self.try_pick(call) {
                return Ok(lease);
            }
            let full = self.hurry();
            let until = if full { call.deadline.instant() } else { self.wait_until(call) };
            if timeout_at(until, notified).await.is_err() {
                let why = self.why();
                if full {
                    return Err(PickError::Full(why));
                }
                self.warn_unplaced(&why);
                return Err(PickError::NoEndpoint(why));
            }
        }
    }

    /// Returns the end of the wait for an endpoint. Keeps half of the remaining time, so that the
    /// caller gets this error and not an expired deadline.
    fn wait_until(&self, call: &mut PickRequest) -> Instant {
        let deadline = call.deadline;
        *call.wait_until.get_or_insert_with(|| {
            let now = Instant::now();
            now + self.settings.endpoint_wait.min(deadline.left(now).unwrap_or_default() / 2)
        })
    }

    /// Logs that calls find no endpoint: at once, then at most every [`WARN_AGAIN`].
    fn warn_unplaced(&self, why: &str) {
        let now = Instant::now();
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|warned| now.saturating_duration_since(warned) >= WARN_AGAIN) {
            *warned = Some(now);
            tracing::warn!(service = %self.service, why, "no endpoint is connected, calls fail");
        }
    }

    fn try_pick(self: &Arc<Self>, call: &PickRequest) -> Option<Lease> {
        let listed = self.current.load();
        self.try_pick_among(&listed, call).or_else(|| {
            let last_resort = self.last_resort.load();
            // If a listed endpoint is only full, the call waits for a stream on it.
            if last_resort.members().is_empty() || is_any_connected(&listed) {
                return None;
            }
            self.try_pick_among(&last_resort, call)
        })
    }

    fn try_pick_among(
        self: &Arc<Self>,
        set: &Balancer<Member>,
        call: &PickRequest,
    ) -> Option<Lease> {
        let (now, mut rng) = (Instant::now(), Rng::new());
        let standing = |member: &Member| {
            let endpoint = member.connections();
            if !endpoint.has_room() {
                Standing::Unusable
            } else if member.is_ejected(now) {
                Standing::Ejected
            } else if call.tried.contains(&endpoint.address) {
                Standing::Tried
            } else {
                Standing::Fit
            }
        };
        loop {
            let picked = set.pick(now, &mut rng, call.repeatable, standing)?;
            // Fail open: an ejected endpoint is better than none, unless a healthy one is only
            // full.
            let fail_open = picked.member().is_ejected(now);
            if fail_open && self.has_untried(&[picked.member().connections().address]) {
                return None;
            }
            // Another call may have taken the last stream meanwhile. Then there is less room than
            // before, so the loop ends.
            let reserved =
                picked.member().connections().reserve(self.settings.calls_per_connection);
            if let Some(connection) = reserved {
                return Some(Lease::new(picked, connection, Arc::clone(self), fail_open));
            }
        }
    }

    /// Requests a connection of all endpoints. Returns true if some are connected, so that only
    /// streams are missing.
    fn hurry(&self) -> bool {
        let listed = self.current.load();
        if is_any_connected(&listed) {
            return true;
        }
        listed.members().iter().for_each(|member| member.connections().hurry());
        is_any_connected(&self.last_resort.load())
    }

    /// Returns true if a listed endpoint other than these is connected and not ejected.
    pub(crate) fn has_untried(&self, tried: &[SocketAddr]) -> bool {
        let now = Instant::now();
        self.current.load().members().iter().any(|member| {
            let endpoint = member.connections();
            !tried.contains(&endpoint.address)
                && endpoint.connected() > 0
                && !member.is_ejected(now)
        })
    }

    /// Returns the reason why no endpoint takes a call, for error messages. Bounded: names
    /// [`NAMED`] endpoints.
    pub(crate) fn why(&self) -> String {
        let members = self.members();
        if members.is_empty() {
            let why = match self.watch.status() {
                Status::Live { .. } if self.listed() > 0 => {
                    format!(
                        "none of {} endpoints has {}",
                        self.listed(),
                        self.settings.balance.to_subset()
                    )
                }
                Status::Live { .. } => "the registry knows none".to_owned(),
                Status::Pending { why: None } => "the registry has not answered yet".to_owned(),
                Status::Pending { why: Some(why) } => format!("the registry fails: {why}"),
                Status::Stale { why, .. } => format!("the registry knew none and fails: {why}"),
            };
            return match self.watch.unusable() {
                Some(unusable) => format!("{why}; unusable registrations: {}", cut(&unusable)),
                None => why,
            };
        }
        let mut whys: Vec<String> = members
            .iter()
            .take(NAMED)
            .map(|member| {
                let endpoint = member.connections();
                let why = if endpoint.connected() > 0 {
                    "all streams are taken".to_owned()
                } else {
                    endpoint.last_error().unwrap_or_else(|| "connecting".to_owned())
                };
                format!("{}: {}", endpoint.address, cut(&why))
            })
            .collect();
        if members.len() > NAMED {
            whys.push(format!("and {} more", members.len() - NAMED));
        }
        whys.join("; ")
    }
}

fn cut(why: &str) -> &str {
    &why[..why.floor_char_boundary(WHY_BYTES)]
}

fn is_any_connected(set: &Balancer<Member>) -> bool {
    set.members().iter().any(|member| member.connections().connected() > 0)
}

/// Counter of a waiting call. Dropping it decrements the count.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
