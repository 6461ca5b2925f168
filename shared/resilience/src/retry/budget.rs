//! Retry budget.

use std::fmt;

use super::sync::{AtomicU32, Ordering};

/// Units of one token: A6 ignores decimals after the third.
const TOKEN: u32 = 1000;

/// Largest number of tokens, as limited by A6.
const MOST_TOKENS: u32 = 1000;

/// Retry budget of one called service, shared by all of its calls. Prevents retry storms.
///
/// Starts full. A retryable failure takes a token, a success returns a fraction of one. At half of
/// the tokens or below, nothing is retried. The tokens stay between 0 and the maximum. Lock-free: one
/// atomic number.
pub struct Budget {
    units: AtomicU32,
    max: u32,
    per_success: u32,
}

/// Invalid parameter of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBudget {
    /// The number of tokens is out of range.
    #[error("tokens must be 1 to 1000")]
    Tokens,
    /// The return of a success is out of range.
    #[error("the tokens returned by a success must be 0.001 to 1000")]
    PerSuccess,
}

impl Budget {
    /// Creates a full budget. `per_success` is in tokens; decimals after the third are ignored.
    ///
    /// # Errors
    /// [`InvalidBudget`] if a parameter is out of range.
    pub fn try_new(max_tokens: u32, per_success: f64) -> Result<Self, InvalidBudget> {
        if !(1..=MOST_TOKENS).contains(&max_tokens) {
            return Err(InvalidBudget::Tokens);
        }
        if !(0.001..=1000.0).contains(&per_success) {
            return Err(InvalidBudget::PerSuccess);
        }
        // At least 1 and at most a million. Rounding corrects products such as 0.1 * 1000, which
        // may be slightly below 100.
        let per_success = (per_success * f64::from(TOKEN) + 1e-6) as u32;
        Ok(Self::of_units(max_tokens * TOKEN, per_success))
    }

    fn of_units(max: u32, per_success: u32) -> Self {
        Self { units: AtomicU32::new(max), max, per_success }
    }

    /// Records a success.
    pub fn succeeded(&self) {
        // A full budget is not written, so no cache line moves.
        self.change(|units| (units + self.per_success).min(self.max));
    }

    /// Records a retryable failure. Returns true if it may be retried.
    pub fn failed(&self) -> bool {
        self.is_enough(self.change(|units| units.saturating_sub(TOKEN)))
    }

    /// Returns true if retries are allowed: more than half of the tokens are left.
    pub fn allows(&self) -> bool {
        self.is_enough(self.units.load(Ordering::Relaxed))
    }

    /// Returns the number of tokens.
    pub fn tokens(&self) -> f64 {
        f64::from(self.units.load(Ordering::Relaxed)) / f64::from(TOKEN)
    }

    fn is_enough(&self, units: u32) -> bool {
        units > self.max / 2
    }

    /// Applies `next`, which stays within `0..=max`, and returns the new number.
    ///
    /// Relaxed ordering suffices: no other data is published with the number.
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
    /// 100 tokens; a success returns a tenth of one.
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
