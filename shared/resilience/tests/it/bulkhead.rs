//! Bound on the calls that one dependency holds.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn, ready},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use gantry_resilience::{
    bulkhead::{
        Bulkhead, BulkheadLayer, BulkheadService, Config, Error, Full, HeldBody, Hold,
        InvalidConfig, Parameters, Slot, Snapshot, UntilBodyEnd, Wait,
    },
    deadline::Deadline,
};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Channel, Empty};
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};
use tower_test::mock;

use crate::{at_once, sent};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Ends a call with its response, without a deadline.
#[derive(Clone, Copy)]
struct UntilAnswer;

impl<Request, Response> Hold<Request, Response> for UntilAnswer {
    type Response = Response;

    fn deadline(&self, _: &Request) -> Option<Deadline> {
        None
    }

    fn answered(&self, _: Slot, response: Response) -> Response {
        response
    }
}

fn bulkhead(concurrent: u32, wait: Option<Wait>) -> Bulkhead {
    Bulkhead::new(Config::try_new(Parameters { concurrent, wait }).unwrap())
}

/// Returns a bulkhead with one slot and a queue of this length.
fn narrow(calls: u32) -> Bulkhead {
    bulkhead(1, Some(Wait { calls, longest: SECOND }))
}

fn after(time: Duration) -> Option<Deadline> {
    Some(Deadline::after(Instant::now(), time))
}

async fn polled_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let mut future = Some(future);
    poll_fn(|cx| Poll::Ready(future.take().unwrap().poll(cx))).await
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let wait = |calls, longest| Parameters { wait: Some(Wait { calls, longest }), concurrent: 1 };
    for (parameters, error) in [
        (Parameters { concurrent: 0, wait: None }, InvalidConfig::Count { name: "concurrent" }),
        (wait(0, SECOND), InvalidConfig::Count { name: "wait.calls" }),
        (wait(u32::MAX, SECOND), InvalidConfig::Count { name: "wait.calls" }),
        (wait(1, Duration::ZERO), InvalidConfig::Longest),
        (wait(1, Duration::MAX), InvalidConfig::Longest),
    ] {
        assert_eq!(Config::try_new(parameters), Err(error));
    }
    assert_eq!(Config::try_new(Parameters::default()), Ok(Config::default()));
}

#[tokio::test(start_paused = true)]
async fn one_more_than_it_holds_is_refused_at_once() {
    let bulkhead = bulkhead(2, None);
    let slots = [bulkhead.try_enter().unwrap(), bulkhead.enter(None).await.unwrap()];
    let full = bulkhead.enter(after(SECOND)).await.unwrap_err();
    assert_eq!(full, Full { concurrent: 2, waited: Duration::ZERO, late: false });
    assert_eq!(bulkhead.snapshot(), Snapshot { in_flight: 2, waiting: 0 });
    drop(slots);
    assert_eq!(bulkhead.snapshot().in_flight, 0);
    assert!(bulkhead.try_enter().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_in_turn_and_takes_the_slot_that_comes_free() {
    let bulkhead = narrow(2);
    let slot = bulkhead.try_enter().unwrap();
    let (mut first, mut second) = (pin!(bulkhead.enter(None)), pin!(bulkhead.enter(None)));
    assert!(polled_once(first.as_mut()).await.is_pending());
    assert!(polled_once(second.as_mut()).await.is_pending());
    assert_eq!(bulkhead.snapshot(), Snapshot { in_flight: 1, waiting: 2 });
    drop(slot);
    // No call overtakes the waiting ones.
    assert!(bulkhead.try_enter().is_err());
    assert!(polled_once(second.as_mut()).await.is_pending());
    drop(first.await.unwrap());
    drop(second.await.unwrap());
    assert_eq!(bulkhead.snapshot(), Snapshot { in_flight: 0, waiting: 0 });
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let bulkhead = narrow(1);
    let _slot = bulkhead.try_enter().unwrap();
    let mut waiting = pin!(bulkhead.enter(None));
    assert!(polled_once(waiting.as_mut()).await.is_pending());
    let started = Instant::now();
    let full = bulkhead.enter(None).await.unwrap_err();
    assert_eq!((full.waited, started.elapsed()), (Duration::ZERO, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_allowed_or_past_the_deadline() {
    let bulkhead = narrow(10);
    let _slot = bulkhead.try_enter().unwrap();
    for (left, waited, late) in [
        (None, SECOND, false),
        (Some(5 * SECOND), SECOND, false),
        (Some(300 * MS), 300 * MS, true),
        (Some(Duration::ZERO), Duration::ZERO, true),
    ] {
        let started = Instant::now();
        let full = bulkhead.enter(left.and_then(after)).await.unwrap_err();
        assert_eq!((full.waited, full.late), (waited, late), "{left:?}");
        assert_eq!(started.elapsed(), waited);
        assert_eq!(bulkhead.snapshot().waiting, 0);
    }
    let full = bulkhead.enter(after(300 * MS)).await.unwrap_err();
    assert_eq!(
        full.to_string(),
        "1 calls to the dependency are in flight, which is the limit; waited 300ms, until \
         the deadline"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_the_queue() {
    let bulkhead = narrow(1);
    let slot = bulkhead.try_enter().unwrap();
    for _ in 0..100 {
        let mut waiting = Box::pin(bulkhead.enter(None));
        assert!(polled_once(waiting.as_mut()).await.is_pending());
        drop(waiting);
    }
    let mut waiting = pin!(bulkhead.enter(None));
    assert!(polled_once(waiting.as_mut()).await.is_pending());
    drop(slot);
    assert!(waiting.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_service_is_refused_in_call_and_never_in_poll_ready() {
    let bulkhead = bulkhead(1, None);
    let layer = BulkheadLayer::new(bulkhead.clone(), UntilAnswer);
    let (mut service, mut handle) = mock::spawn_layer(layer);
    handle.allow(3);
    assert!(service.poll_ready().is_ready());
    let first = service.call("first");
    assert!(service.poll_ready().is_ready());
    let refused = at_once(service.call("second")).await.unwrap_err();
    assert!(matches!(refused, Error::Full(Full { concurrent: 1, .. })));
    // The rejected call never arrived.
    sent(&mut handle, "first").await.send_response("answer");
    assert_eq!(first.await.unwrap(), "answer");
    assert!(service.poll_ready().is_ready());
    let third = service.call("third");
    sent(&mut handle, "third").await.send_error("down");
    assert!(matches!(third.await, Err(Error::Inner(_))));
    assert_eq!(bulkhead.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_is_made_with_the_service_that_was_ready() {
    let bulkhead = narrow(1);
    let layer = BulkheadLayer::new(bulkhead.clone(), UntilAnswer);
    let (mut service, mut handle) = mock::spawn_layer(layer);
    handle.allow(2);
    assert!(service.poll_ready().is_ready());
    let first = service.call("first");
    assert!(service.poll_ready().is_ready());
    let mut second = pin!(service.call("second"));
    assert!(polled_once(second.as_mut()).await.is_pending());
    assert_eq!(bulkhead.snapshot(), Snapshot { in_flight: 1, waiting: 1 });
    sent(&mut handle, "first").await.send_response("one");
    first.await.unwrap();
    assert!(polled_once(second.as_mut()).await.is_pending());
    sent(&mut handle, "second").await.send_response("two");
    assert_eq!(second.await.unwrap(), "two");
    // The service now holds a clone, which must become ready by itself.
    assert!(service.poll_ready().is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_its_slot_or_its_place_back() {
    let bulkhead = narrow(1);
    let never = service_fn(|()| pending::<Result<(), Infallible>>());
    let mut service = BulkheadService::new(never, bulkhead.clone(), UntilAnswer);
    for _ in 0..100 {
        let (mut called, mut waiting) = (Box::pin(service.call(())), Box::pin(service.call(())));
        assert!(polled_once(called.as_mut()).await.is_pending());
        assert!(polled_once(waiting.as_mut()).await.is_pending());
        assert_eq!(bulkhead.snapshot(), Snapshot { in_flight: 1, waiting: 1 });
        drop(waiting);
        drop(called);
        assert_eq!(bulkhead.snapshot(), Snapshot { in_flight: 0, waiting: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_the_slot_back() {
    let bulkhead = bulkhead(1, None);
    let inner = service_fn(|()| async { panic!("a bug") as Result<(), Infallible> });
    let call = BulkheadService::new(inner, bulkhead.clone(), UntilAnswer).call(());
    assert!(tokio::spawn(call).await.unwrap_err().is_panic());
    assert_eq!(bulkhead.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_dependency_holds_no_more_than_its_slots_of_a_burst() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let inner = service_fn({
        let most = Arc::clone(&most);
        move |()| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(100 * MS).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(())
            }
        }
    });
    let wait = Wait { calls: 40, longest: 250 * MS };
    let layer = BulkheadLayer::new(bulkhead(10, Some(wait)), UntilAnswer);
    let calls: Vec<_> =
        (0..100).map(|_| tokio::spawn(layer.layer(inner.clone()).call(()))).collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.unwrap());
    }
    let waited = |long: bool| {
        let refused = |result: &&Result<(), Error<Infallible>>| matches!(result, Err(Error::Full(full)) if (full.waited > Duration::ZERO) == long);
        results.iter().filter(refused).count()
    };
    // Of 100 calls, 10 run at once, 20 more start within 250 ms, 20 wait in vain, and 50 find no
    // place.
    assert_eq!(most.load(Ordering::SeqCst), 10);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 30);
    assert_eq!((waited(true), waited(false)), (20, 50));
}

/// Returns a service whose only response has this body.
fn http(
    bulkhead: &Bulkhead,
    body: Channel<Bytes>,
) -> impl Service<
    Request<()>,
    Response = Response<impl Body<Data = Bytes, Error = Infallible> + Unpin>,
    Error = Error<Infallible>,
> {
    let answer = Arc::new(Mutex::new(Some(Response::new(body))));
    let inner = service_fn(move |_: Request<()>| {
        ready(Ok::<_, Infallible>(answer.lock().unwrap().take().unwrap()))
    });
    BulkheadService::new(inner, bulkhead.clone(), UntilBodyEnd)
}

#[tokio::test(start_paused = true)]
async fn an_http_call_holds_its_slot_until_its_body_ends() {
    let bulkhead = bulkhead(1, None);
    let (mut body, given) = Channel::new(4);
    let mut response = http(&bulkhead, given).call(Request::new(())).await.unwrap();
    body.send_data(Bytes::from_static(b"data")).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(bulkhead.snapshot().in_flight, 1);
    drop(body);
    assert!(response.body_mut().frame().await.is_none());
    assert_eq!(bulkhead.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_http_call_gives_its_slot_back_when_its_body_is_dropped() {
    let bulkhead = bulkhead(1, None);
    // An empty body returns the slot at once.
    let _held = HeldBody::new(Empty::<Bytes>::new(), bulkhead.try_enter().unwrap());
    assert_eq!(bulkhead.snapshot().in_flight, 0);
    let (_body, given) = Channel::new(4);
    let response = http(&bulkhead, given).call(Request::new(())).await.unwrap();
    assert_eq!(bulkhead.snapshot().in_flight, 1);
    drop(response);
    assert_eq!(bulkhead.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_http_call_waits_no_longer_than_its_deadline() {
    let bulkhead = narrow(1);
    let mut service = http(&bulkhead, Channel::new(4).1);
    let _slot = bulkhead.try_enter().unwrap();
    let mut request = Request::new(());
    request.extensions_mut().insert(Deadline::after(Instant::now(), 100 * MS));
    let Err(Error::Full(full)) = service.call(request).await else { panic!("let through") };
    assert_eq!((full.waited, full.late), (100 * MS, true));
}
