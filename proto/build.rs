//! Compiles `ukimet/v1/*.proto` without a system protoc and keeps the descriptors for reflection.

use prost::Message;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=ukimet");
    let files = ["adapter", "catalog", "data", "ingest", "versions"].map(|name| format!("ukimet/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("ukimet.v1.fds"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".ukimet.v1").compile_fds(descriptors)?;
    Ok(())
}
