//! Contract of the repository, checked on every adapter.

mod sqlite;
mod suite;
