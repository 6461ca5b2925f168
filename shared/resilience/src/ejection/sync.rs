//! What the shared state is made of. The model check compiles the same sources with
//! loom's types in the place of these.

pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
