//! The choice of an endpoint and a connection for an attempt, and the wait for one.

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

/// Endpoints that an error names; the others are counted.
const NAMED: usize = 3;

/// Bytes of one endpoint's error in another error.
const WHY_BYTES: usize = 200;

/// Pause between two warnings that calls find no endpoint.
const WARN_AGAIN: Duration = Duration::from_secs(10);

/// Failure to find a place in time.
#[derive(Debug)]
pub(crate) enum PickError {
    /// Nothing was connected.
    NoEndpoint(String),
    /// All streams of all connections were taken until the deadline.
    Full(String),
}

/// Needs of an attempt.
#[derive(Debug)]
pub(crate) struct PickRequest {
    deadline: Deadline,
    /// End of the wait for an endpoint, once it has begun.
    wait_until: Option<Instant>,
    /// True if the call is sent again if it fails, so that it does no harm to try an endpoint with it.
    repeatable: bool,
    /// Endpoints that have had the call: any other is better.
    pub(crate) tried: Vec<SocketAddr>,
    /// True if it does not wait out the pause before an endpoint is connected again.
    probe: bool,
}

impl PickRequest {
    /// Returns a request of the first attempt.
    pub(crate) fn new(deadline: Deadline, repeatable: bool, probe: bool) -> Self {
        Self { deadline, wait_until: None, repeatable, tried: Vec::new(), probe }
    }
}

impl Shared {
    /// Takes a stream on the endpoint that the balancer picks. Waits while there is none, for as long
    /// as the deadline and `endpoint_wait` allow.
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
            let mut told = pin!(self.available.notified());
            // From here on nothing that is told is missed.
            told.as_mut().enable();
            if let Some(lease) = self.try_pick(call) {
                return Ok(lease);
            }
            let full = self.hurry();
            let until = if full { call.deadline.instant() } else { self.wait_until(call) };
            if timeout_at(until, told).await.is_err() {
                let why = self.why();
                if full {
                    return Err(PickError::Full(why));
                }
                self.warn_unplaced(&why);
                return Err(PickError::NoEndpoint(why));
            }
        }
    }

    /// End of the wait for an endpoint. Half of the time left is kept, so that the caller hears
    /// that nobody is there and not that nobody answered.
    fn wait_until(&self, call: &mut PickRequest) -> Instant {
        let deadline = call.deadline;
        *call.wait_until.get_or_insert_with(|| {
            let now = Instant::now();
            now + self.settings.endpoint_wait.min(deadline.left(now).unwrap_or_default() / 2)
        })
    }

    /// Logs that calls find no endpoint: at once, then every [`WARN_AGAIN`] while it goes on.
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
            // If a listed endpoint only has no room, its calls end soon.
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
            // Fail open: better an ejected endpoint than none. Not where a healthy one
            // only has no room: its calls end soon.
            let failed_open = picked.member().is_ejected(now);
            if failed_open && self.has_untried(&[picked.member().connections().address]) {
                return None;
            }
            // Another call may have taken the last stream meanwhile: then there is
            // less room than before, and the loop comes to its end.
            let reserved =
                picked.member().connections().reserve(self.settings.calls_per_connection);
            if let Some(connection) = reserved {
                return Some(Lease::new(picked, connection, Arc::clone(self), failed_open));
            }
        }
    }

    /// Has all endpoints connect soon; gives whether some are connected already, so
    /// that what is missing are streams.
    fn hurry(&self) -> bool {
        let listed = self.current.load();
        if is_any_connected(&listed) {
            return true;
        }
        listed.members().iter().for_each(|member| member.connections().hurry());
        is_any_connected(&self.last_resort.load())
    }

    /// Returns true if another listed endpoint than these is connected and not ejected.
    pub(crate) fn has_untried(&self, tried: &[SocketAddr]) -> bool {
        let now = Instant::now();
        self.current.load().members().iter().any(|member| {
            let endpoint = member.connections();
            !tried.contains(&endpoint.address)
                && endpoint.connected() > 0
                && !member.is_ejected(now)
        })
    }

    /// Returns why no call can be placed, for people. Bounded: names [`NAMED`] endpoints.
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
            return match self.watch.left_out() {
                Some(left_out) => format!("{why}; left out: {}", cut(&left_out)),
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

/// Counts a waiting call, also when it is cancelled.
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
