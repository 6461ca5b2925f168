//! `user-service`: the users as a process of their own.

use std::process::ExitCode;

use gantry_user::Service;

fn main() -> ExitCode {
    gantry_process::run::<Service>("Keeps the users and lets them log in")
}
