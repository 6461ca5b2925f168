//! When a failed call is made again.

mod attempts;
mod budget;
mod hedging;
mod http;
mod layer;
mod pushback;
mod storms;
