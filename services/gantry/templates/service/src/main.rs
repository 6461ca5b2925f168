//! `template-service`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gantry_process::run::<template_service::Service>()
}
