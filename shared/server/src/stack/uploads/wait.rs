//! Wait for the rest of a message, within the upload limits.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use gantry_contract::{Failure, GantryReason};
use tokio::time::{Instant, Sleep, sleep};
use tonic::{Code, Status};

use super::{GRACE, Upload, Uploads};
use crate::call::CallerHashes;

/// Wait for an incomplete message. Created only when there is something to wait for: most messages
/// arrive whole.
#[derive(Debug)]
pub(in crate::stack) struct Wait {
    upload: Upload,
    began: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Wait {
    pub(in crate::stack) fn new(uploads: &Arc<Uploads>, key: CallerHashes) -> Self {
        Self {
            upload: Upload::new(Arc::clone(uploads), key),
            began: Instant::now(),
            alarm: Box::pin(sleep(GRACE)),
        }
    }

    /// Continues the wait with `received` bytes of the message, which occupy `kept` bytes of
    /// memory. Ready with the refusal when a limit is exceeded.
    pub(in crate::stack) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        received: usize,
        kept: usize,
    ) -> Poll<Status> {
        if let Err(beyond) = self.upload.hold(kept as u64) {
            return Poll::Ready(beyond.into());
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            if let Err(beyond) = self.upload.count() {
                return Poll::Ready(beyond.into());
            }
            let limit = self.time_limit(received);
            let Some(left) = limit.checked_sub(self.began.elapsed()).filter(|l| !l.is_zero())
            else {
                return Poll::Ready(self.too_slow(received, limit));
            };
            self.alarm.as_mut().reset(Instant::now() + left);
        }
    }

    /// Returns the time limit of the message, from its beginning, after `received` bytes.
    fn time_limit(&self, received: usize) -> Duration {
        let settings = &self.upload.uploads.settings;
        let rate = f64::from(settings.min_bytes_per_second);
        settings.timeout + Duration::from_secs_f64(received as f64 / rate)
    }

    fn too_slow(&self, received: usize, limit: Duration) -> Status {
        let settings = &self.upload.uploads.settings;
        Failure::new(
            Code::DeadlineExceeded,
            GantryReason::UploadTooSlow,
            format!(
                "only {received} bytes of the message arrived within {limit:.1?}: a message \
                 may take {:?}, and one second more for each {} bytes",
                settings.timeout, settings.min_bytes_per_second
            ),
        )
        .into()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use gantry_contract::Reason;
    use tokio::time::advance;

    use super::*;
    use crate::settings::UploadSettings;

    fn uploads(max_per_caller: u32) -> Arc<Uploads> {
        Arc::new(Uploads::new(&UploadSettings {
            max_per_caller,
            timeout: Duration::from_secs(5),
            min_bytes_per_second: 1000,
            ..UploadSettings::default()
        }))
    }

    fn wait(uploads: &Arc<Uploads>) -> Wait {
        Wait::new(uploads, CallerHashes { caller: 1, source: 1 })
    }

    /// Returns the status that ends a wait if nothing more arrives.
    async fn ended(wait: &mut Wait, received: usize) -> Status {
        poll_fn(|cx| wait.poll(cx, received, received)).await
    }

    fn is(status: &Status, reason: GantryReason) -> bool {
        reason.is_given_by(status)
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_without_data_ends_after_the_timeout() {
        let began = Instant::now();
        let status = ended(&mut wait(&uploads(1)), 0).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(is(&status, GantryReason::UploadTooSlow), "{status:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_byte_extends_the_timeout() {
        let began = Instant::now();
        ended(&mut wait(&uploads(1)), 10_000).await;
        assert_eq!(began.elapsed(), Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_below_the_minimum_rate_ends() {
        for (per_second, ends) in [(900, true), (1100, false)] {
            let mut wait = wait(&uploads(1));
            let mut ended = false;
            for second in 0..300 {
                let poll = poll_fn(|cx| {
                    Poll::Ready(wait.poll(cx, second * per_second, second * per_second))
                });
                ended |= poll.await.is_ready();
                advance(Duration::from_secs(1)).await;
            }
            assert_eq!(ended, ends, "{per_second} bytes a second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_counts_after_the_grace() {
        let uploads = uploads(1);
        let mut first = wait(&uploads);
        let mut second = wait(&uploads);
        let began = Instant::now();
        tokio::select! {
            biased;
            status = ended(&mut first, 1) => panic!("{status:?}"),
            status = ended(&mut second, 1) => {
                assert_eq!(status.code(), Code::ResourceExhausted);
                assert!(is(&status, GantryReason::TooManyUploads), "{status:?}");
            }
        }
        assert_eq!(began.elapsed(), GRACE);
    }
}
