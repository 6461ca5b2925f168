//! Limits of a server: concurrency and rates.

mod concurrency;
mod overload;
mod rates;
