//! Compiles the tests again when their migrations change.

fn main() {
    println!("cargo::rerun-if-changed=tests/it/migrations");
}
