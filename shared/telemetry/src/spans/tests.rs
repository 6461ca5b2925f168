use opentelemetry::{
    KeyValue,
    trace::{
        SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState,
        Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_sdk::trace::{SamplingDecision, SdkTracer, SdkTracerProvider, ShouldSample};

use super::*;

/// Returns a tracer whose sampled spans wait in the queue.
fn tracer(services: &[&str], capacity: usize) -> (SdkTracer, Arc<Queue>) {
    let queue = Arc::new(Queue::new(capacity, capacity));
    let services = Services::new("suite", services);
    let exported = Exported { queue: Arc::clone(&queue), services };
    let provider = SdkTracerProvider::builder()
        .with_sampler(SdkSampler::AlwaysOn)
        .with_span_processor(exported)
        .build();
    (provider.tracer("test"), queue)
}

/// Begins a span below `parent` that names this service.
fn begin(tracer: &SdkTracer, parent: &Context, name: &'static str, service: &str) -> Context {
    let attributes = match service {
        "" => Vec::new(),
        service => vec![KeyValue::new("gantry.service", service.to_owned())],
    };
    let builder = tracer.span_builder(name).with_attributes(attributes);
    parent.with_span(builder.start_with_context(tracer, parent))
}

fn taken(queue: &Queue) -> Vec<(usize, String)> {
    queue.take().into_iter().map(|(service, span)| (service, span.name.into_owned())).collect()
}

#[test]
fn a_span_belongs_to_the_nearest_service_around_it() {
    let (tracer, queue) = tracer(&["user", "order"], 10);
    let root = Context::new();
    let free = begin(&tracer, &root, "free", "");
    let served = begin(&tracer, &free, "served", "order");
    let inner = begin(&tracer, &served, "inner", "");
    let called = begin(&tracer, &inner, "called", "user");
    let innermost = begin(&tracer, &called, "innermost", "");
    for span in [innermost, called, inner, served, free] {
        span.span().end();
    }
    let expected = [(1, "innermost"), (1, "called"), (2, "inner"), (2, "served"), (0, "free")];
    assert_eq!(taken(&queue), expected.map(|(service, name)| (service, name.to_owned())));
}

#[test]
fn all_spans_of_one_service_are_its_own() {
    let (tracer, queue) = tracer(&["order"], 10);
    begin(&tracer, &Context::new(), "free", "").span().end();
    assert_eq!(taken(&queue), [(0, "free".to_owned())]);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (tracer, queue) = tracer(&["order"], 2);
    let before = dropped(Reason::QueueFull);
    for _ in 0..5 {
        begin(&tracer, &Context::new(), "span", "").span().end();
    }
    assert_eq!(queue.take().len(), 2);
    assert_eq!(dropped(Reason::QueueFull) - before, 3);
}

#[test]
fn a_parent_based_sampler_keeps_the_callers_decision() {
    let parent = |flags| {
        let trace = TraceId::from_bytes([7; 16]);
        let span = SpanId::from_bytes([7; 8]);
        let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
        Context::new().with_remote_span_context(context)
    };
    let sampled = |sampler: &SdkSampler, parent: &Context| {
        let trace = TraceId::from_bytes([7; 16]);
        let sampled =
            sampler.should_sample(Some(parent), trace, "span", &SpanKind::Server, &[], &[]);
        sampled.decision == SamplingDecision::RecordAndSample
    };
    let (none, yes, no) =
        (Context::new(), parent(TraceFlags::SAMPLED), parent(TraceFlags::NOT_SAMPLED));
    // Exporter on, sampler, ratio; sampled without a parent, with a sampled one, with
    // another one.
    for (exports, sampler_of, ratio, expected) in [
        (true, Sampler::ParentRatio, 1.0, [true, true, false]),
        (true, Sampler::ParentRatio, 0.0, [false, true, false]),
        (true, Sampler::ParentOn, 0.0, [true, true, false]),
        (true, Sampler::ParentOff, 1.0, [false, true, false]),
        (true, Sampler::Ratio, 1.0, [true, true, true]),
        (true, Sampler::Ratio, 0.0, [false, false, false]),
        (true, Sampler::On, 0.0, [true, true, true]),
        (true, Sampler::Off, 1.0, [false, false, false]),
        (false, Sampler::On, 1.0, [false, true, false]),
    ] {
        let settings = TracesSettings::default().sampler(sampler_of).sample_ratio(ratio);
        let sampler = sampler(&settings, exports);
        let decided = [&none, &yes, &no].map(|parent| sampled(&sampler, parent));
        assert_eq!(decided, expected, "{exports} {sampler_of:?} {ratio}");
    }
}
