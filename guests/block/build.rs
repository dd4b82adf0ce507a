//! Hands the linker script to the linker.

fn main() {
    // Cargo runs the compiler in the workspace's root, which is here. A path from there holds in every
    // checkout that shares what was built.
    println!("cargo::rustc-link-arg-bins=-Tlink.ld");
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rerun-if-changed=build.rs");
}
