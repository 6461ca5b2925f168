//! `notification-service`: the notification service as a process.

fn main() -> std::process::ExitCode {
    gantry_process::run::<gantry_notification::Service>()
}
