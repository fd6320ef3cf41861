//! Where a catalog's store is, as an operator says it: a directory, or a bucket and how it is talked to.

use crate::config::{parse_bytes, parse_time};
use clap::Args;
use std::path::Path;
use std::time::Duration;
use ukimet_catalog::{BucketOptions, Place};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

const SCHEME: &str = "s3://";

/// How a bucket is talked to. Credentials come from the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
/// `AWS_SESSION_TOKEN`, or what else `AWS_*` names.
#[derive(Args, Clone, Debug)]
pub struct StoreOptions {
    /// URL of the service that has the bucket; by default `AWS_ENDPOINT_URL`, or that of the region.
    #[arg(long = "store-endpoint", value_name = "URL")]
    pub endpoint: Option<String>,

    /// Region of the bucket; by default `AWS_REGION`.
    #[arg(long = "store-region", value_name = "NAME")]
    pub region: Option<String>,

    /// The bucket's name is in the host name and not in the path.
    #[arg(long = "store-virtual-hosted")]
    pub virtual_hosted: bool,

    /// Talk to the store without TLS, as is fit for one on the same machine. Anyone on the way reads and changes rows.
    #[arg(long = "store-allow-http")]
    pub allow_http: bool,

    /// How long one request to the store may take, and how long a failed one is repeated.
    #[arg(long = "store-request-max", value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub request_max: Duration,

    /// How often a failed request is repeated at most.
    #[arg(long = "store-retries-max", value_name = "COUNT", default_value_t = 10)]
    pub retries_max: usize,

    /// Files larger than this are uploaded in parts of this size, 5 MiB or more.
    #[arg(long = "store-part", value_name = "SIZE", default_value = "16MiB", value_parser = parse_part)]
    pub part: u64,
}

impl StoreOptions {
    /// The bucket at `s3://bucket/prefix`.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the text is not such a URL.
    pub fn bucket(&self, url: &str) -> Result<BucketOptions> {
        let refused =
            || Error::invalid_request(format!("a store is s3://BUCKET or s3://BUCKET/PREFIX, found {}", quoted(url)));
        let rest = url.strip_prefix(SCHEME).ok_or_else(refused)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let prefix = prefix.trim_end_matches('/');
        let is_path = prefix.is_empty() || prefix.split('/').all(|part| !part.is_empty() && part.chars().all(is_plain));
        if bucket.is_empty() || !bucket.chars().all(is_plain) || !is_path {
            return Err(refused());
        }
        Ok(BucketOptions {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            is_virtual_hosted: self.virtual_hosted,
            allows_http: self.allow_http,
            request_max: self.request_max,
            retries_max: self.retries_max,
            part_bytes: self.part,
            ..BucketOptions::new(bucket.to_owned(), prefix.to_owned())
        })
    }

    /// A directory, or the bucket at `s3://bucket/prefix`.
    pub fn place(&self, text: &str) -> Result<Place> {
        if text.starts_with(SCHEME) { Ok(self.bucket(text)?.into()) } else { Ok(Path::new(text).into()) }
    }
}

/// The size of a part: stores take none smaller.
fn parse_part(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 5 << 20;
    let bytes = parse_bytes(text)?;
    if bytes >= LEAST { Ok(bytes) } else { Err(format!("a part has 5 MiB or more, found {text:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        store: StoreOptions,
    }

    fn options(arguments: &[&str]) -> Result<StoreOptions, clap::Error> {
        Line::try_parse_from([&["test"], arguments].concat()).map(|line| line.store)
    }

    #[test]
    fn a_url_names_bucket_and_prefix_and_all_else_is_refused_or_a_directory() {
        let options = options(&[]).expect("defaults");
        let cases = [("s3://b", "s3://b"), ("s3://b/", "s3://b"), ("s3://b-1/a/b_2/", "s3://b-1/a/b_2")];
        for (text, url) in cases {
            assert_eq!(options.bucket(text).expect("a URL").url(), url);
        }
        for text in ["s3://", "s3:///p", "s3://b/a//c", "s3://user:secret@b", "s3://b/p?x=1", "http://b", "b"] {
            let error = options.bucket(text).expect_err("no URL of a bucket");
            assert!(error.message().contains("s3://BUCKET/PREFIX"), "{text}: {error}");
        }
        assert_eq!(options.place("some/dir").expect("a directory"), Path::new("some/dir").into());
    }

    #[test]
    fn a_part_that_stores_do_not_take_is_refused() {
        assert!(options(&["--store-part", "4MiB"]).is_err());
        assert_eq!(options(&["--store-part", "5MiB"]).expect("the least").part, 5 << 20);
    }
}
