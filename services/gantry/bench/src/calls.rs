//! Calls of a client for counting under valgrind: `gantry bench calls`.

use tokio::{runtime, task::spawn_blocking};

use super::{
    args::CallsArgs,
    callers::{Caller, Method, Ours, Through, tonic_channel},
    error::BenchError,
};

/// Makes calls one after the other, on one connection.
///
/// The calls have a runtime of a single thread: threads that wake each other would add a varying
/// number of instructions.
pub(super) async fn run(args: &CallsArgs) -> Result<(), BenchError> {
    let args = args.clone();
    let _telemetry = args.traces.init()?;
    let calls = spawn_blocking(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(BenchError::Replica)?.block_on(make(&args))
    });
    calls.await.map_err(|panic| BenchError::Replica(panic.into()))?
}

async fn make(args: &CallsArgs) -> Result<(), BenchError> {
    match args.through {
        Through::Ours => {
            let ours = Ours::listed(args.address, 1)?;
            ours.connected(1).await?;
            repeat(ours.client, args.calls).await
        }
        Through::Tonic => repeat(tonic_channel(args.address).await?, args.calls).await,
    }
}

async fn repeat(mut caller: impl Caller, calls: u64) -> Result<(), BenchError> {
    for call in 0..calls {
        caller.call(Method::Read, call).await?;
    }
    Ok(())
}
