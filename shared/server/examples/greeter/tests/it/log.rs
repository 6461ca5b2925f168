//! Log of the compiled greeter: it works without a reader, and no peer can fill it.

use futures_util::future::join_all;
use tokio::{io::AsyncReadExt, time::timeout};

use super::*;
use crate::floods::from_elsewhere;

/// Makes calls within the rate limit of several addresses until their lines exceed the capacity of
/// a pipe.
async fn greet_often(greeter: &Greeter) {
    for host in 10..50 {
        let channel = from_elsewhere(greeter.address, host).await;
        let calls = (0..20).map(|_| {
            let mut client = GreeterServiceClient::new(channel.clone());
            async move { client.say_hello(SayHelloRequest { name: "ann".into() }).await }
        });
        for answer in timeout(TEST_TIMEOUT, join_all(calls)).await.expect("no call is delayed") {
            answer.unwrap();
        }
    }
}

async fn ends_well(greeter: &mut Greeter) {
    greeter.terminate().await;
    let ended = timeout(TEST_TIMEOUT, greeter.process.wait()).await.expect("it ends").unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn an_unread_log_delays_no_call() {
    let mut greeter = Greeter::start().await;
    greet_often(&greeter).await;
    ends_well(&mut greeter).await;
    // More lines than the pipe could hold.
    let mut taken = String::new();
    greeter.log.get_mut().read_to_string(&mut taken).await.unwrap();
    let lines = taken.matches("SayHello OK").count();
    assert!((100..800).contains(&lines), "{lines} lines");
}

#[tokio::test]
async fn a_closed_log_delays_no_call() {
    let mut greeter = Greeter::start().await;
    // Replaces the reader of its stderr, which closes the pipe.
    let other = Command::new("true").stderr(Stdio::piped()).spawn().unwrap();
    greeter.log = BufReader::new(other.stderr.unwrap()).lines();
    greet_often(&greeter).await;
    ends_well(&mut greeter).await;
}

#[tokio::test]
async fn a_flood_of_refused_calls_is_counted_instead_of_written() {
    let mut greeter = Greeter::start().await;
    let channel = from_elsewhere(greeter.address, 2).await;
    let call = || {
        let mut client = GreeterServiceClient::new(channel.clone());
        async move { client.say_hello(SayHelloRequest { name: String::new() }).await }
    };
    let statuses = join_all((0..2000).map(|_| call())).await;
    let statuses = statuses.into_iter().map(Result::unwrap_err);
    let (answered, lost): (Vec<_>, Vec<_>) =
        statuses.partition(|status| status.get_details_error_info().is_some());
    ends_well(&mut greeter).await;
    let mut log = String::new();
    greeter.log.get_mut().read_to_string(&mut log).await.unwrap();
    let (mut written, mut omitted) = (0, 0);
    for line in log.lines() {
        if line.contains("lines of one kind omitted") {
            let lines = line.split(" lines=").nth(1).unwrap().split(' ').next().unwrap();
            omitted += lines.parse::<usize>().unwrap();
        } else {
            written += usize::from(line.contains("call ended reason="));
        }
    }
    assert_eq!(written + omitted, answered.len(), "{lost:?}\n{log}");
    assert!(written < 500, "{written} lines");
    assert!(log.contains("RESOURCE_EXHAUSTED call ended reason=RATE_LIMITED"), "{log}");
}
