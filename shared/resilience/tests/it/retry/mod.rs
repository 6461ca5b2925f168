//! Retries of failed calls.

mod attempts;
mod budget;
mod hedging;
mod http;
mod layer;
mod pushback;
mod storms;
