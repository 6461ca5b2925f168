//! Waits for states.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Limit of a wait, which only a test that hangs reaches.
const HANG_GUARD: Duration = Duration::from_secs(60);

/// Waits until `probe` returns a value, and returns it.
///
/// # Panics
/// If the state `what` is not reached within a minute.
pub async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let reached = async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let Ok(value) = timeout(HANG_GUARD, reached).await else { panic!("not reached: {what}") };
    value
}
