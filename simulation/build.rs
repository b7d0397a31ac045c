//! Has bounds that no short history would reach be small ones, as in unit tests.

fn main() {
    println!("cargo:rustc-cfg=simulation");
    println!("cargo:rerun-if-changed=build.rs");
}
