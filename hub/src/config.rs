//! What an operator may set: every limit with its unit and default.

use crate::api::flight::{EndpointLimits, SqlLimits};
use crate::compacting::CompactionLimits;
use crate::diff::PageLimits;
use crate::download::DownloadLimits;
use crate::filter::FilterLimits;
use crate::kept::KeptLimits;
use crate::store::StoreOptions;
use crate::usage::UsageLimits;
use clap::{Args, ValueEnum};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;
use ukimet_catalog::{BucketOptions, CatalogOptions, Sharing, TableLimits};
use ukimet_model::{DatasetId, Error, Result};

/// Settings of a hub. Sizes are bytes and take the suffixes KiB, MiB, GiB; times take s, min, h.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Directory that holds the catalog; made if it does not exist. With a store in a bucket it holds what this hub keeps
    /// for itself, and is this hub's alone.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Bucket that holds the catalog, as `s3://BUCKET/PREFIX`; several hubs may serve it at the same time.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,

    /// How a bucket is talked to.
    #[command(flatten)]
    pub store_options: StoreOptions,

    /// Objects of the bucket that are kept in the directory.
    #[arg(long, value_name = "SIZE", default_value = "8GiB", value_parser = parse_bytes)]
    pub store_cache: u64,

    /// How often commits of other hubs on the same bucket are looked for: a reader is behind them by at most this.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    pub store_poll: Duration,

    /// Files in the bucket that were written less long ago are never removed: longer than any push takes, and the same
    /// for all hubs on the bucket.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_time)]
    pub store_garbage_age: Duration,

    /// How long a version that was removed may still be read by a hub on the same bucket; the same for all.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_time)]
    pub store_reading_max: Duration,

    /// The secret key that receipts of exports are signed with: a file of 64 hex digits. Without it `receipt.key` in the
    /// data directory, which is made with the first start.
    #[arg(long, value_name = "FILE")]
    pub receipt_key: Option<PathBuf>,

    /// Address to listen on for gRPC, Flight and HTTP alike; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8815", value_parser = parse_address)]
    pub listen: SocketAddr,

    /// Listen beyond this machine although nobody has to say who they are. Anyone who reaches the port may publish.
    #[arg(long)]
    pub allow_anonymous_network: bool,

    /// Largest file of one push.
    #[arg(long, value_name = "SIZE", default_value = "16GiB", value_parser = parse_bytes)]
    pub push_bytes_max: u64,

    /// Largest single gRPC message, and so the largest batch of a Flight `DoPut`.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes)]
    pub message_bytes_max: u64,

    /// A push tells how far its bytes are durable each time this many have come.
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_bytes)]
    pub durable_every_bytes: u64,

    /// A push whose client is silent this long is ended; its bytes are kept. So is an answer about stored bytes that are
    /// read again if the client takes nothing of it for so long.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub push_idle_max: Duration,

    /// Bytes of a push that was not finished are kept this long.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_time)]
    pub staging_keep: Duration,

    /// Pushes that may be received at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    pub pushes_max: usize,

    /// Files that are read by adapters at the same time; further pushes wait.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub adapter_jobs_max: usize,

    /// The bundled adapter's program; by default `ukimet-adapter-gdal` beside this one.
    #[arg(long, value_name = "FILE")]
    pub adapter_program: Option<PathBuf>,

    /// Another adapter, asked for the media types it describes, before the bundled one. May be repeated: the first that
    /// describes a file's format serves its pushes.
    #[arg(long = "adapter", value_name = "URL")]
    pub adapters: Vec<String>,

    /// An adapter that serves no pushes: `ukimet renormalize --rules VERSION` alone asks it, such as for the next rules before
    /// the switch. May be repeated. One that does not answer when the hub starts is left out with a warning.
    #[arg(long = "adapter-beside", value_name = "URL")]
    pub adapters_beside: Vec<String>,

    /// Folder of certificates (*.json): no adapter is used that none of them is for, the bundled one included.
    #[arg(long, value_name = "DIR", requires = "adapter_authority")]
    pub adapter_certificates: Option<PathBuf>,

    /// Public key of who signs these certificates, 64 hex digits.
    #[arg(long, value_name = "PUBKEY", requires = "adapter_certificates")]
    pub adapter_authority: Option<String>,

    /// Wall-clock time an adapter may take for one file.
    #[arg(long, value_name = "TIME", default_value = "30min", value_parser = parse_time)]
    pub adapter_time_max: Duration,

    /// Memory an adapter process may map.
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_bytes)]
    pub adapter_memory_max: u64,

    /// Processor time an adapter may take for any file, however small.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub adapter_cpu_max: Duration,

    /// Processor time an adapter may take beyond that for each MiB of the file.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub adapter_cpu_per_mib: Duration,

    /// Largest single file that an adapter may write to its scratch folder; by default as much as a push or what an
    /// archive may unpack to.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub adapter_file_max: Option<u64>,

    /// Files and connections that an adapter process may have open.
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    pub adapter_open_files_max: u64,

    /// Whether an adapter process must be confined (namespaces, dropped privileges, Landlock, seccomp) by every means,
    /// by what this machine offers, or not at all.
    #[arg(long, value_name = "STRICTNESS", default_value = "best-effort", value_parser = ["required", "best-effort", "off"])]
    pub adapter_confine: String,

    /// Values that lie inside each other in JSON and XML.
    #[arg(long, value_name = "COUNT", default_value_t = 128)]
    pub nesting_max: u32,

    /// Bytes that an archive may unpack to.
    #[arg(long, value_name = "SIZE", default_value = "32GiB", value_parser = parse_bytes)]
    pub unpacked_bytes_max: u64,

    /// Archives inside each other.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub archives_max: u32,

    /// Largest CSV file that is looked through for titles, totals and further tables; a larger one is rows below a header.
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_bytes)]
    pub examined_bytes_max: u64,

    /// Rows of one layer.
    #[arg(long, value_name = "COUNT", default_value_t = 200_000_000)]
    pub rows_max: u64,

    /// Pages of a Parquet file that are unpacked at the same time: of each column the largest, and its dictionary.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes)]
    pub pages_bytes_max: u64,

    /// Values of a raster: pixels of all bands.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000_000_000)]
    pub raster_values_max: u64,

    /// Bands of a raster.
    #[arg(long, value_name = "COUNT", default_value_t = 4_096)]
    pub raster_bands_max: usize,

    /// A raster as it is kept, and a part of one that is cut out.
    #[arg(long, value_name = "SIZE", default_value = "16GiB", value_parser = parse_bytes)]
    pub raster_bytes_max: u64,

    /// Verdicts that are kept of one layer; an adapter that tells more fails its push. The bundled one tells fewer.
    #[arg(long, value_name = "COUNT", default_value_t = 2_000_000)]
    pub verdict_rows_max: u64,

    /// Verdicts that one family of rules lists in one batch of rows; what comes above is counted.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    pub verdicts_waiting_max: usize,

    /// Text of the verdicts that are kept of one layer.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes)]
    pub verdict_bytes_max: u64,

    /// Refused rows that are kept of one layer; a file with more is refused as a whole.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    pub quarantine_rows_max: u64,

    /// Text of the refused rows that are kept of one layer.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes)]
    pub quarantine_bytes_max: u64,

    /// Dataset with the register of KATO, whose newest version the codes of every push are compared with: columns `code` (or
    /// `kato`, `te`) and, if it has them, `valid_from` (first day) and `valid_to` (first day no longer).
    #[arg(long, value_name = "AGENCY/NAME")]
    pub kato_register: Option<DatasetId>,

    /// Largest table that a mapping may look values up in, as text, and largest register.
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = parse_bytes)]
    pub lookup_bytes_max: u64,

    /// Rows of one sheet of corrections; they are held in memory.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    pub fix_rows_max: usize,

    /// Folder of grids for datum shifts, such as `qazgrid_kz.gsb` (Pulkovo 1942 to QazTRF-23); nothing else may be in it.
    #[arg(long, value_name = "DIR")]
    pub grids: Option<PathBuf>,

    /// Share of a layer's rows, 0 to 1, whose place may be impossible: those rows are refused; above it, the layer is.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub misplaced_share_max: f64,

    /// Share of its area, 0 to 1, that a geometry may lose or gain by repair; a row above it is refused.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    pub repair_area_change_max: f64,

    /// Exports that may run at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub exports_max: usize,

    /// Longest filter, as it is written.
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_bytes)]
    pub filter_bytes_max: u64,

    /// Conditions within conditions of one filter, and parentheses within parentheses.
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub filter_depth_max: usize,

    /// Comparisons and patterns of one filter, and values of its lists, together; a relation to a geometry counts as fifty.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub filter_terms_max: usize,

    /// Positions of one geometry of a filter.
    #[arg(long, value_name = "COUNT", default_value_t = 2000)]
    pub filter_positions_max: usize,

    /// Memory of one export whose rows are put into an order, for the values that they are ordered by: above it the export
    /// is refused. Half of it is for rows that are read ahead, of which there is one batch at least.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes)]
    pub order_bytes_max: u64,

    /// How often versions that the rules of their datasets do not keep, and files that nobody needs, are removed; 0s for
    /// never.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_time)]
    pub gc_every: Duration,

    /// When files of a version are written anew.
    #[command(flatten)]
    pub compaction: CompactionLimits,

    /// How much a client fetches at one end of a flight.
    #[command(flatten)]
    pub endpoints: EndpointLimits,

    /// How much a download over HTTP may cost.
    #[command(flatten)]
    pub downloads: DownloadLimits,

    /// How much of what went out is kept.
    #[command(flatten)]
    pub kept: KeptLimits,

    /// How much a query in SQL may cost.
    #[command(flatten)]
    pub sql: SqlLimits,

    /// How much of a difference a page shows.
    #[command(flatten)]
    pub diff_page: PageLimits,

    /// What is remembered of readers.
    #[command(flatten)]
    pub usage: UsageLimits,

    /// Whether each dataset has a Delta Lake log over its files, for engines that read them without the hub.
    #[arg(long, value_name = "SWITCH", value_enum, default_value_t = Switch::On)]
    pub delta_log: Switch,

    /// How a Delta log tells that rows of a file are deleted: by deletion vectors, or by a rewritten copy of the file for
    /// readers that know no deletion vectors.
    #[arg(long, value_name = "MEANS", value_enum, default_value_t = DeltaDeletes::Vectors)]
    pub delta_deletes: DeltaDeletes,

    /// Versions between two checkpoints of a Delta log.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub delta_checkpoint_every: u64,

    /// Free disk space below which nothing is written; reading goes on.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_bytes)]
    pub disk_reserve: u64,

    /// After SIGTERM or Ctrl-C, running calls have this long to end.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub drain_max: Duration,
}

/// Whether something is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl Switch {
    /// Whether it is on.
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// How a Delta log tells that rows of a file are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeltaDeletes {
    /// By deletion vectors: nothing is copied.
    Vectors,
    /// By a copy of the file without them.
    Rewritten,
}

impl Config {
    /// How much a filter may be.
    pub fn filters(&self) -> FilterLimits {
        FilterLimits {
            bytes_max: usize::try_from(self.filter_bytes_max).unwrap_or(usize::MAX),
            depth_max: self.filter_depth_max,
            terms_max: self.filter_terms_max,
            positions_max: self.filter_positions_max,
        }
    }

    /// Checks what no single setting can say.
    pub fn check(&self) -> Result<()> {
        if !self.listen.ip().is_loopback() && !self.allow_anonymous_network {
            return Err(Error::invalid_request(format!(
                "{} can be reached from other machines, and this hub does not yet ask callers who they are: \
                 listen on 127.0.0.1 behind a proxy that does, or pass --allow-anonymous-network",
                self.listen
            )));
        }
        if self.store_poll.is_zero() || self.store_options.request_max.is_zero() {
            return Err(Error::invalid_request("store-poll and store-request-max are 1s or more, found 0s"));
        }
        self.filters().check()?;
        self.sql.queries().check()?;
        self.bucket().map(drop)
    }

    /// The bucket that holds the catalog; `None` for the directory.
    pub fn bucket(&self) -> Result<Option<BucketOptions>> {
        let bucket = self.store.as_deref().map(|url| self.store_options.bucket(url)).transpose()?;
        Ok(bucket.map(|bucket| BucketOptions { cache_bytes: self.store_cache, ..bucket }))
    }

    /// Bytes of a table that values are looked up in, as memory has them.
    pub fn lookup_bytes_max(&self) -> usize {
        usize::try_from(self.lookup_bytes_max).unwrap_or(usize::MAX)
    }

    /// What the catalog needs of these settings.
    pub fn catalog_options(&self) -> CatalogOptions {
        CatalogOptions {
            disk_reserve_bytes: self.disk_reserve,
            verdict_limits: TableLimits { rows_max: self.verdict_rows_max, bytes_max: self.verdict_bytes_max },
            quarantine_limits: TableLimits { rows_max: self.quarantine_rows_max, bytes_max: self.quarantine_bytes_max },
            asset_bytes_max: self.raster_bytes_max,
            compact_deleted_share: self.compaction.compact_deleted_share,
            compact_segments_max: self.compaction.compact_segments_max,
            superseded_keep: self.compaction.compact_keep,
            keeps_published_files: self.delta_log.is_on(),
            sharing: Sharing {
                garbage_age: self.store_garbage_age,
                reading_max: self.store_reading_max,
                // A look and a commit take at most two times as long as a request and its repetitions, each.
                settling: self.store_options.request_max * 6,
            },
            ..CatalogOptions::default()
        }
    }
}

/// Reads `HOST:PORT`; a name is looked up.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|e| format!("an address is HOST:PORT, found {text:?}: {e}"))?;
    addresses.next().ok_or_else(|| format!("{text:?} has no address"))
}

/// Reads a size such as `64MiB`, `2 GiB` or `4096`.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("a size ends in B, KiB, MiB or GiB, found {other:?}")),
    };
    let count: u64 = digits.parse().map_err(|_| format!("a size is a whole number and a unit, found {text:?}"))?;
    count.checked_mul(unit).ok_or_else(|| format!("{text} is more than can be counted"))
}

/// Reads a share from 0 to 1, such as `0.2`.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("a share is a number from 0 to 1, found {text:?}"))
}

/// Reads a time such as `30s`, `5min` or `24h`.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let seconds = match text[digits.len()..].trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        other => return Err(format!("a time ends in s, min or h, found {other:?}")),
    };
    let count: u64 = digits.parse().map_err(|_| format!("a time is a whole number and a unit, found {text:?}"))?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_name() {
        assert!(parse_address("localhost:8815").expect("known").ip().is_loopback());
        assert!(parse_address("localhost").is_err());
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("2 GiB"), Ok(2 << 30));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert!(parse_bytes("1.5GiB").is_err() && parse_bytes("3MB").is_err() && parse_bytes("GiB").is_err());
        assert_eq!(parse_time("5min"), Ok(Duration::from_mins(5)));
        assert_eq!((parse_share("0.2"), parse_share("1")), (Ok(0.2), Ok(1.0)));
        assert!(["1.1", "-0.1", "NaN", "20%"].iter().all(|text| parse_share(text).is_err()));
        assert!(parse_time("5").is_err() && parse_time("5ms").is_err());
    }
}
