//! When a failed call is made again.

mod attempts;
mod budget;
