//! What every adapter of the repository must do, run on each of them.

mod sqlite;
mod suite;
