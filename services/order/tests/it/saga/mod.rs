//! The saga of a placed order, on the real log and repository, under every fault: a service refuses
//! or does not respond, or the process crashes at any write.

mod commits;
mod crashes;
mod fakes;
mod faults;
