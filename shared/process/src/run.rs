//! The runtime of a process, and the signals that end it.

use std::{future::Future, pin::Pin, process::ExitCode};

use gantry_server::shutdown_signal;
use tokio::runtime::Builder;

/// Resolves when the process is told to end: see [`gantry_server::shutdown_signal`].
pub type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the whole of a `main` on a runtime of its own.
///
/// Signals are caught before anything else is done: as process 1 of a container a process loses
/// those that it does not catch yet. At the end nothing that is left on the runtime is waited
/// for: a name server that does not answer would hold up the exit.
pub fn block_on<F>(main: impl FnOnce(Shutdown) -> F) -> ExitCode
where
    F: Future<Output = ExitCode>,
{
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return gantry_config::refuse(&format_args!("no runtime: {error}")),
    };
    let shutdown = {
        let _entered = runtime.enter();
        Box::pin(shutdown_signal())
    };
    let code = runtime.block_on(main(shutdown));
    runtime.shutdown_background();
    code
}
