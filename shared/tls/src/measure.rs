//! Metrics of certificates. docs/METRICS.md lists them.

use opentelemetry::{KeyValue, metrics::Meter};

use crate::Followed;

/// Registers the metrics of one side's files, with `attributes` on each. Each collection calls
/// `followed`, and reports nothing if it returns None.
pub fn observe<F>(meter: &Meter, attributes: &[KeyValue], followed: F)
where
    F: Fn() -> Option<Followed> + Clone + Send + Sync + 'static,
{
    let (this, now) = (attributes.to_vec(), followed.clone());
    meter
        .i64_observable_gauge("gantry.tls.certificate.expiry_timestamp")
        .with_unit("s")
        .with_description("Expiry of the certificate in use, in seconds since 1970.")
        .with_callback(move |gauge| {
            if let Some(expires_at) = now().and_then(|followed| followed.expires_at) {
                gauge.observe(expires_at, &this);
            }
        })
        .build();
    let (this, now) = (attributes.to_vec(), followed.clone());
    meter
        .u64_observable_gauge("gantry.tls.last_reload_successful")
        .with_description("0 while the current files are rejected, otherwise 1.")
        .with_callback(move |gauge| {
            if let Some(followed) = now() {
                gauge.observe(u64::from(!followed.is_refused), &this);
            }
        })
        .build();
    let this = attributes.to_vec();
    meter
        .u64_observable_counter("gantry.tls.reloads")
        .with_description("Changed files that were loaded (ok) or rejected (failed).")
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
