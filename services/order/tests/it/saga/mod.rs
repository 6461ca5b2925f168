//! The placing of an order, on the real log and repository, under every fault: each step
//! refuses, is silent, or the process dies at any write.

mod crashes;
mod faults;
mod shop;
