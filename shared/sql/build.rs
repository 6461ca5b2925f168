//! Compiles the crate and its tests again when their migrations change.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=tests/it/migrations");
}
