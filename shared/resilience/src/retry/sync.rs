//! What the budget is made of. The model check compiles its source with loom's types in
//! the place of these.

pub(super) use std::sync::atomic::{AtomicU32, Ordering};
