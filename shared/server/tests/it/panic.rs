//! A panic fails one call and reveals nothing to its caller.

use futures_util::StreamExt;
use gantry_probe::probe::v1::{ActRequest, CountRequest};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    log::Log,
    world::{World, eventually, reason},
};

#[tokio::test]
async fn a_panicking_handler_is_an_internal_error_without_a_leak() {
    let log = Log::catch();
    let world = World::start().await;
    let mut client = world.client().await;
    for nap_ms in [0, 5] {
        let mut request =
            tonic::Request::new(ActRequest { nap_ms, panic: true, ..ActRequest::default() });
        request.metadata_mut().insert("x-request-id", "oops".parse().unwrap());
        let status = client.act(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(reason(&status), "INTERNAL");
        assert_eq!(status.get_details_request_info().unwrap().request_id, "oops");
        assert_eq!(status.metadata().get("x-request-id").unwrap(), "oops");
        assert!(!format!("{status:?}").contains("secret"), "{status:?}");
    }
    client.act(ActRequest::default()).await.unwrap();

    let line = log.line("a call panicked").await;
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["panic"], "the secret is 42");
    assert!(line["location"].contains("service.rs"), "{}", line["location"]);
    assert!(line["backtrace"].contains("probe"), "{}", line["backtrace"]);
    assert_eq!(line["span request_id"], "oops");
    assert_eq!(log.line("call ended").await["code"], "INTERNAL");
}

#[tokio::test]
async fn a_stream_that_panics_ends_in_an_internal_error() {
    let log = Log::catch();
    let world = World::start().await;
    let mut client = world.client().await;
    let request = CountRequest { to: 9, pause_ms: 1, panic_at: 3 };
    let mut numbers = client.count(request).await.unwrap().into_inner();
    assert_eq!(numbers.next().await.unwrap().unwrap().number, 1);
    assert_eq!(numbers.next().await.unwrap().unwrap().number, 2);
    let status = numbers.next().await.unwrap().unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Internal, "INTERNAL"));
    client.act(ActRequest::default()).await.unwrap();
    eventually("the stream has its line", || log.lines("call ended").len() == 2).await;
    assert!(log.lines("call ended").iter().any(|line| line["code"] == "INTERNAL"));
}
