//! `user-service`: the users as a process of their own.

fn main() -> std::process::ExitCode {
    gantry_process::run::<gantry_user::Service>()
}
