//! The tokens that retries are paid with.

use std::fmt;

use super::sync::{AtomicU32, Ordering};

/// A token is this many units: A6 ignores what stands after the third decimal.
const TOKEN: u32 = 1000;

/// The most tokens there may be, as A6 limits them.
const MOST_TOKENS: u32 = 1000;

/// What keeps retries from becoming a storm: one per service, shared by all its calls.
///
/// Starts full. A retryable failure takes a token, a success gives a part of one back,
/// and at half of the tokens or below nothing is retried. The tokens stay between 0 and
/// the maximum. Lock-free: one atomic, changed whole.
pub struct Budget {
    units: AtomicU32,
    max: u32,
    per_success: u32,
}

/// A budget that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBudget {
    /// No tokens or too many.
    #[error("tokens must be 1 to 1000")]
    Tokens,
    /// A success gives nothing back, or more than there can be.
    #[error("what a success gives back must be 0.001 to 1000 tokens")]
    PerSuccess,
}

impl Budget {
    /// A full budget of so many tokens. `per_success` is in tokens; what stands after its
    /// third decimal is ignored.
    ///
    /// # Errors
    /// [`InvalidBudget`] says what is out of its range.
    pub fn try_new(max_tokens: u32, per_success: f64) -> Result<Self, InvalidBudget> {
        if !(1..=MOST_TOKENS).contains(&max_tokens) {
            return Err(InvalidBudget::Tokens);
        }
        if !(0.001..=1000.0).contains(&per_success) {
            return Err(InvalidBudget::PerSuccess);
        }
        // At least 1 and at most a million. Rounding mends only that 0.1 * 1000 may come
        // out a hair below 100.
        let per_success = (per_success * f64::from(TOKEN) + 1e-6) as u32;
        Ok(Self::of_units(max_tokens * TOKEN, per_success))
    }

    fn of_units(max: u32, per_success: u32) -> Self {
        Self { units: AtomicU32::new(max), max, per_success }
    }

    /// A call succeeded.
    pub fn succeeded(&self) {
        // Full most of the time: then nothing is written, and no cache line moves.
        self.change(|units| (units + self.per_success).min(self.max));
    }

    /// A call failed in a way that could be retried. Says whether it may be.
    pub fn failed(&self) -> bool {
        self.is_enough(self.change(|units| units.saturating_sub(TOKEN)))
    }

    /// Whether retries are allowed: more than half of the tokens are there.
    pub fn allows(&self) -> bool {
        self.is_enough(self.units.load(Ordering::Relaxed))
    }

    /// The tokens that are there.
    pub fn tokens(&self) -> f64 {
        f64::from(self.units.load(Ordering::Relaxed)) / f64::from(TOKEN)
    }

    fn is_enough(&self, units: u32) -> bool {
        units > self.max / 2
    }

    /// Applies `next`, which keeps to `0..=max`, and returns what it made.
    ///
    /// Relaxed suffices: the number is all there is, nothing else is published with it.
    fn change(&self, next: impl Fn(u32) -> u32) -> u32 {
        let mut units = self.units.load(Ordering::Relaxed);
        loop {
            let changed = next(units);
            if changed == units {
                return changed;
            }
            match self.units.compare_exchange_weak(
                units,
                changed,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return changed,
                Err(found) => units = found,
            }
        }
    }
}

impl Default for Budget {
    /// 100 tokens; a success gives a tenth of one back.
    fn default() -> Self {
        Self::of_units(100 * TOKEN, TOKEN / 10)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("tokens", &self.tokens())
            .field("max", &(self.max / TOKEN))
            .finish()
    }
}
