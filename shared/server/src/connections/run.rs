//! One connection, from its first byte to its end.

use std::{
    fmt::Display,
    future::{Future, pending},
    net::SocketAddr,
    pin::{Pin, pin},
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::CUT_GRACE;
use crate::measure::Closed;

/// When a connection ends, other than by its peer.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Tells it to finish what is in flight and to take nothing more.
    pub(crate) goaway: CancellationToken,
    /// How old it gets until it does so by itself.
    pub(crate) age: Option<Age>,
    /// Tells its calls that their time is over.
    pub(crate) cut: CancellationToken,
}

/// How old a connection gets, and what is left to it then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Age {
    pub(crate) max: Duration,
    pub(crate) grace: Duration,
}

impl Age {
    /// A tenth more or less, so that connections that began together do not end
    /// together. `random` is from 0 to below 1.
    pub(crate) fn jittered(self, random: f64) -> Self {
        Self { max: self.max.mul_f64(0.9 + 0.2 * random), ..self }
    }
}

/// Runs one connection until it ends, and says how; `graceful` tells it to finish.
pub(crate) async fn run<C, E>(
    connection: C,
    peer: SocketAddr,
    ends: Ends,
    graceful: impl FnOnce(Pin<&mut C>),
) -> Closed
where
    C: Future<Output = Result<(), E>>,
    E: Display,
{
    let mut connection = pin!(connection);
    let (how, ended) = tokio::select! {
        ended = &mut connection => (Closed::Peer, Some(ended)),
        () = ends.goaway.cancelled() => {
            graceful(connection.as_mut());
            // Whoever drains says when it is cut.
            (Closed::Drain, Some(connection.await))
        }
        age = grown(ends.age) => {
            graceful(connection.as_mut());
            (Closed::Age, finish(connection, age.grace, &ends.cut).await)
        }
    };
    match ended {
        Some(Ok(())) => how,
        // A peer that speaks something else, or has gone: its affair, not ours.
        Some(Err(error)) => {
            debug!(%peer, %error, "a connection ended badly");
            Closed::Error
        }
        None => {
            debug!(%peer, "an old connection is cut off");
            Closed::Cut
        }
    }
}

/// Returns once a connection is old.
async fn grown(age: Option<Age>) -> Age {
    match age {
        Some(age) => {
            sleep(age.max).await;
            age
        }
        None => pending().await,
    }
}

/// Lets what is in flight finish, then tells it to end, then gives up.
async fn finish<C: Future>(
    mut connection: Pin<&mut C>,
    grace: Duration,
    cut: &CancellationToken,
) -> Option<C::Output> {
    if let Ok(ended) = timeout(grace, &mut connection).await {
        return Some(ended);
    }
    cut.cancel();
    timeout(CUT_GRACE, connection).await.ok()
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible, rc::Rc};

    use tokio::time::Instant;

    use super::*;

    const AGE: Age = Age { max: Duration::from_secs(100), grace: Duration::from_secs(10) };

    #[test]
    fn an_age_is_off_by_a_tenth_at_most() {
        let seconds = |random| AGE.jittered(random).max.as_secs();
        assert_eq!((seconds(0.0), seconds(0.5), seconds(0.999)), (90, 100, 109));
    }

    /// When a connection that ends so long after it was told to has ended.
    async fn ended(lasts: Option<Duration>) -> (u64, bool) {
        let ends = Ends {
            goaway: CancellationToken::new(),
            age: Some(AGE),
            cut: CancellationToken::new(),
        };
        let cut = ends.cut.clone();
        let told = Rc::new(Cell::new(None));
        let connection = {
            let told = Rc::clone(&told);
            Box::pin(async move {
                loop {
                    if let (Some(told), Some(lasts)) = (told.get(), lasts) {
                        tokio::time::sleep_until(told + lasts).await;
                        return Ok::<_, Infallible>(());
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            })
        };
        let started = Instant::now();
        run(connection, ([127, 0, 0, 1], 1).into(), ends, |_| told.set(Some(Instant::now()))).await;
        (started.elapsed().as_secs(), cut.is_cancelled())
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_connection_has_its_grace_and_then_its_calls_are_told() {
        assert_eq!(ended(Some(Duration::ZERO)).await, (100, false));
        assert_eq!(ended(Some(Duration::from_secs(5))).await, (105, false));
        assert_eq!(ended(None).await, (111, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_does_not_wait_for_the_age() {
        let ends = Ends {
            goaway: CancellationToken::new(),
            age: Some(AGE),
            cut: CancellationToken::new(),
        };
        ends.goaway.cancel();
        let told = Cell::new(false);
        let connection = pin!(async {
            while !told.get() {
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(())
        });
        let started = Instant::now();
        run(connection, ([127, 0, 0, 1], 1).into(), ends, |_| told.set(true)).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
