//! What is told of certificates; docs/METRICS.md lists it.

use opentelemetry::{KeyValue, metrics::Meter};

use crate::Followed;

/// Tells what became of the files of `who` whenever somebody asks, for as long as `followed`
/// says it.
pub fn observe<F>(meter: &Meter, who: &[KeyValue], followed: F)
where
    F: Fn() -> Option<Followed> + Clone + Send + Sync + 'static,
{
    let (this, now) = (who.to_vec(), followed.clone());
    meter
        .i64_observable_gauge("gantry.tls.certificate.expiry_timestamp")
        .with_unit("s")
        .with_description("When the certificate in use ends, in seconds since 1970.")
        .with_callback(move |gauge| {
            if let Some(expires_at) = now().and_then(|followed| followed.expires_at) {
                gauge.observe(expires_at, &this);
            }
        })
        .build();
    let (this, now) = (who.to_vec(), followed.clone());
    meter
        .u64_observable_gauge("gantry.tls.last_reload_successful")
        .with_description("0 while the files that lie there are refused, else 1.")
        .with_callback(move |gauge| {
            if let Some(followed) = now() {
                gauge.observe(u64::from(!followed.is_refused), &this);
            }
        })
        .build();
    let this = who.to_vec();
    meter
        .u64_observable_counter("gantry.tls.reloads")
        .with_description("How often changed files were taken up (ok) or refused (failed).")
        .with_callback(move |counter| {
            let Some(Followed { reloads, failures, .. }) = followed() else { return };
            for (outcome, count) in [("ok", reloads), ("failed", failures)] {
                let mut attributes = this.clone();
                attributes.push(KeyValue::new("gantry.outcome", outcome));
                counter.observe(count, &attributes);
            }
        })
        .build();
}
