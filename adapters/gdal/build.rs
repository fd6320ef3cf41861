//! Keeps the symbols of the bundled coordinate library to ourselves.
//!
//! GDAL brings the system's copy of the same library. Symbols that an executable exports come before those of shared
//! libraries, so without this GDAL would call into ours.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg=-Wl,--exclude-libs,ALL");
}
