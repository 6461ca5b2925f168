//! The saga of a placed order, on the real log and repository, under every fault: a service refuses
//! or does not respond, or the process crashes at any write.

/// Declares each of these functions as a test on both engines.
macro_rules! on_both_engines {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test(super::On::Sqlite).await })*
        }

        mod postgres {
            $(#[tokio::test] async fn $test() { super::$test(super::On::Postgres).await })*
        }
    };
}

mod commits;
mod crashes;
mod fakes;
mod faults;
mod replicas;
