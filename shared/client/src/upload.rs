//! Upload of a streamed request body.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body, Frame};
use tokio::task::JoinHandle;
use tonic::Status;

use crate::call_timer::Activity;

/// Body of a request. Each message is recorded for the idle timeout, if there is one.
#[derive(Debug)]
pub(crate) struct Upload {
    body: tonic::body::Body,
    activity: Option<Arc<Activity>>,
}

/// Upload in a task of its own, since callers may read responses late without delaying it. The task
/// ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Uploading {
    /// `None` if everything was sent at once.
    task: Option<JoinHandle<()>>,
    failure: Arc<OnceLock<Status>>,
}

impl Uploading {
    /// Returns the failure of the body, if it broke off and the stream was reset.
    pub(crate) fn failure(&self) -> Option<Status> {
        self.failure.get().cloned()
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.task.iter().for_each(JoinHandle::abort);
    }
}

impl Upload {
    pub(crate) fn new(body: tonic::body::Body, activity: Option<Arc<Activity>>) -> Self {
        Self { body, activity }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Sends the available data. A task sends the rest.
    pub(crate) async fn begin(self, stream: SendStream<Bytes>) -> Uploading {
        let failure = Arc::<OnceLock<_>>::default();
        let failed = Arc::clone(&failure);
        let mut sending = Sending { upload: self, stream, next: None, failed };
        let sent = poll_fn(|cx| Poll::Ready(Pin::new(&mut sending).poll(cx))).await;
        Uploading { task: sent.is_pending().then(|| tokio::spawn(sending)), failure }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(_), Some(activity)) = (&frame, &self.activity) {
            activity.record();
        }
        Poll::Ready(frame)
    }
}

/// Sends a body to its end, or until the peer rejects the rest: the response has the reason.
struct Sending {
    upload: Upload,
    stream: SendStream<Bytes>,
    /// Data beyond the peer's window. No more is read from the caller meanwhile.
    next: Option<Bytes>,
    /// Failure of the body.
    failed: Arc<OnceLock<Status>>,
}

impl Future for Sending {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { upload, stream, next, failed } = self.get_mut();
        loop {
            if stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            if next.is_some() && stream.capacity() == 0 {
                let Some(Ok(_)) = ready!(stream.poll_capacity(cx)) else { return Poll::Ready(()) };
            }
            if let Some(data) = next.take() {
                let is_last = upload.is_end_stream();
                if stream.send_data(data, is_last).is_err() || is_last {
                    return Poll::Ready(());
                }
            }
            match ready!(upload.poll_frame(cx)) {
                // Requests have no trailers.
                Some(Ok(frame)) => *next = frame.into_data().ok().filter(|data| !data.is_empty()),
                Some(Err(status)) => {
                    // Set before the reset, which makes it visible. It is the only failure.
                    let _ = failed.set(status);
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(());
                }
                None => {
                    let _ = stream.send_data(Bytes::new(), true);
                    return Poll::Ready(());
                }
            }
            if next.is_some() {
                stream.reserve_capacity(1);
            }
        }
    }
}
