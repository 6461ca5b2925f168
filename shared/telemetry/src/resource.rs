//! Description of this process in exported spans and metrics.

use std::sync::LazyLock;

use opentelemetry::KeyValue;
use opentelemetry_sdk::{Resource, resource::EnvResourceDetector};
use uuid::Uuid;

use crate::BUILD;

/// Id of this run of the process.
static INSTANCE: LazyLock<String> = LazyLock::new(|| Uuid::now_v7().to_string());

/// Returns the resource of a service. `OTEL_RESOURCE_ATTRIBUTES` adds attributes and overrides all
/// but the name.
pub(crate) fn of(service: &str) -> Resource {
    Resource::builder()
        .with_attributes([
            KeyValue::new("service.version", BUILD.version),
            KeyValue::new("vcs.ref.head.revision", BUILD.commit),
            KeyValue::new("service.instance.id", INSTANCE.as_str()),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_service_name(service.to_owned())
        .build()
}
