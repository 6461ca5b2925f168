//! Synchronisation types of the shared state. The model check compiles the same sources with loom's
//! types instead.

pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
