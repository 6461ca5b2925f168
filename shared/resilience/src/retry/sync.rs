//! Synchronisation types of the budget. The model check compiles its source with loom's types
//! instead.

pub(super) use std::sync::atomic::{AtomicU32, Ordering};
