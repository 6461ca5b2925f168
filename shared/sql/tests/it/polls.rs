//! Futures that are polled a few times only.

use std::{future::poll_fn, pin::Pin, task::Poll};

/// Polls a future at most `times` times, each time once it is woken. Returns None if it is not done then.
pub(crate) async fn polled<F: Future + Unpin>(mut future: F, times: usize) -> Option<F::Output> {
    let mut left = times;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
