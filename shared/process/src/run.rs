//! Runtime of a process, and the signals that stop it.

use std::{future::Future, pin::Pin, process::ExitCode};

use gantry_server::shutdown_signal;
use tokio::runtime::Builder;

/// Resolves on a signal that stops the process: see [`gantry_server::shutdown_signal`].
pub type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a whole `main` on a new runtime.
///
/// Signals are caught first: process 1 of a container loses signals that it does not catch yet. At the end,
/// remaining tasks are not awaited: a name server that does not respond would delay the exit.
pub fn block_on<F>(main: impl FnOnce(Shutdown) -> F) -> ExitCode
where
    F: Future<Output = ExitCode>,
{
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return gantry_config::refuse(&format_args!("cannot start the runtime: {error}"));
        }
    };
    let shutdown = {
        let _entered = runtime.enter();
        Box::pin(shutdown_signal())
    };
    let code = runtime.block_on(main(shutdown));
    runtime.shutdown_background();
    code
}
