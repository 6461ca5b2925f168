//! Concurrency permit of a request stream, from its first message to the start of its response.

use std::{
    mem::replace,
    sync::{Mutex, MutexGuard, PoisonError},
};

use gantry_contract::{Failure, GantryReason};
use gantry_resilience::limits::{Limiter, Overloaded, Permit};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::status::retry_later;

/// Returns the refusal of a call beyond the concurrency limit.
pub(super) fn overloaded(overloaded: Overloaded) -> Status {
    let failure = if overloaded.of_caller {
        let what = "this caller has reached its share of the concurrency limit";
        Failure::new(Code::ResourceExhausted, GantryReason::Overloaded, what)
            .metadata("limit", "caller")
    } else {
        let what = "the server is overloaded";
        Failure::new(Code::ResourceExhausted, GantryReason::Overloaded, what)
    };
    retry_later(failure, overloaded.retry_after(fastrand::f64()))
}

/// Opening phase of a request stream. Its handler runs as soon as the headers arrive, because
/// callers may wait for the response headers before they send. The stream takes a permit when its
/// first message is complete, when its handler does anything but wait for that message, or when its
/// response begins. It releases the permit when its response begins.
///
/// The caller determines the duration of this phase, so it is not measured.
#[derive(Debug)]
pub(super) struct Opening {
    limiter: Limiter,
    caller: u64,
    class: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The request was not read yet.
    New,
    /// The handler waits for the first message.
    Awaiting,
    /// The stream has a permit.
    Placed { _permit: Permit },
    /// The limit was reached.
    Refused(Overloaded),
    /// The response has begun.
    Answering,
}

impl Opening {
    pub(super) fn new(limiter: Limiter, caller: u64, class: usize) -> Self {
        Self { limiter, caller, class, state: Mutex::new(State::New) }
    }

    /// Records that the first message is awaited. Returns true if there is no time limit, because
    /// the response has begun.
    pub(super) fn awaits(&self) -> bool {
        let mut state = self.state();
        if let State::New = *state {
            *state = State::Awaiting;
        }
        matches!(*state, State::Answering)
    }

    /// Records that the first message is complete, or that the stream ended without one.
    ///
    /// # Errors
    /// [`Overloaded`] if the limit is reached.
    pub(super) fn first_message(&self) -> Result<(), Overloaded> {
        self.place(&mut self.state())
    }

    /// Records that the handler works; waiting for the first message is not work.
    ///
    /// # Errors
    /// [`Overloaded`] if the limit is reached, now or before.
    pub(super) fn works(&self) -> Result<(), Overloaded> {
        let mut state = self.state();
        if let State::Awaiting = *state {
            *state = State::New;
            return Ok(());
        }
        self.place(&mut state)
    }

    /// Records that the response begins.
    ///
    /// # Errors
    /// [`Overloaded`] if the limit is reached, now or before.
    pub(super) fn answers(&self) -> Result<(), Overloaded> {
        let mut state = self.state();
        self.place(&mut state)?;
        // Releases the permit that was taken.
        drop(replace(&mut *state, State::Answering));
        Ok(())
    }

    fn place(&self, state: &mut State) -> Result<(), Overloaded> {
        match state {
            State::New | State::Awaiting => {}
            State::Placed { .. } | State::Answering => return Ok(()),
            State::Refused(overloaded) => return Err(*overloaded),
        }
        match self.limiter.try_enter_for(self.caller, self.class, Instant::now()) {
            Ok(permit) => *state = State::Placed { _permit: permit.unmeasured() },
            Err(overloaded) => {
                *state = State::Refused(overloaded);
                return Err(overloaded);
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use gantry_resilience::limits::{ConcurrencyConfig, ConcurrencyParameters};

    use super::*;

    /// Returns a limiter of two calls at once.
    fn limiter() -> Limiter {
        let parameters = ConcurrencyParameters {
            min: 2,
            initial: 2,
            max: 2,
            ..ConcurrencyParameters::default()
        };
        Limiter::new(ConcurrencyConfig::try_new(parameters).unwrap(), 1, Instant::now())
    }

    fn in_flight(limiter: &Limiter) -> u32 {
        limiter.snapshot().in_flight
    }

    #[test]
    fn a_stream_takes_its_permit_with_its_first_message() {
        let limiter = limiter();
        let opening = Opening::new(limiter.clone(), 1, 0);
        assert!(!opening.awaits());
        opening.works().unwrap();
        assert_eq!(in_flight(&limiter), 0);
        opening.first_message().unwrap();
        opening.works().unwrap();
        assert_eq!(in_flight(&limiter), 1);
        opening.answers().unwrap();
        assert_eq!(in_flight(&limiter), 0);
        assert!(opening.awaits());
        opening.first_message().unwrap();
        assert_eq!(in_flight(&limiter), 0);
    }

    #[test]
    fn a_handler_that_does_not_wait_for_a_message_works() {
        let limiter = limiter();
        let opening = Opening::new(limiter.clone(), 1, 0);
        opening.works().unwrap();
        assert_eq!(in_flight(&limiter), 1);
        drop(opening);
        assert_eq!(in_flight(&limiter), 0);
        // An event other than the request wakes the handler.
        let opening = Opening::new(limiter.clone(), 1, 0);
        opening.awaits();
        opening.works().unwrap();
        opening.works().unwrap();
        assert_eq!(in_flight(&limiter), 1);
    }

    #[test]
    fn a_stream_without_a_permit_is_always_refused() {
        let limiter = limiter();
        let _others = [(); 2].map(|()| limiter.try_enter(0, Instant::now()).unwrap());
        for refused in [Opening::first_message, Opening::works, Opening::answers] {
            let opening = Opening::new(limiter.clone(), 1, 0);
            refused(&opening).unwrap_err();
            opening.answers().unwrap_err();
        }
    }
}
