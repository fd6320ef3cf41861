//! A proxy that breaks what passes: between a hub and its adapter, or between a client and a hub.
//!
//! It knows bytes and no frames. To HTTP/2, on which everything of a hub travels, bytes that come twice or in another
//! order are damage like any other, and that is the point: neither side may take a damaged answer for a whole one.

use crate::random::Seeded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use ukimet_model::{Error, Result};

/// What happens to the bytes behind the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// Nothing: the proxy is there and does no harm.
    None,
    /// The connection ends.
    Cut,
    /// The piece comes twice.
    Duplicate,
    /// Two pieces come in the other order.
    Reorder,
    /// Every piece waits before it goes on.
    Slow,
    /// Nothing goes on, and nobody hears why.
    Stall,
    /// A bit of the piece is another.
    Corrupt,
}

/// How a proxy behaves.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// Where it listens: `HOST:PORT` or `unix:PATH`.
    pub listen: String,
    /// Where it passes to: `HOST:PORT` or `unix:PATH`.
    pub to: String,
    /// What it breaks.
    pub fault: Fault,
    /// Where the offsets come from.
    pub seed: u64,
    /// The fault comes behind a random number of answered bytes of each connection: at least this many, so that an
    /// adapter can describe itself.
    pub offset_bytes_min: u64,
    /// And at most this many.
    pub offset_bytes_max: u64,
    /// How long a slow piece waits.
    pub pause: Duration,
}

/// How many bytes are taken at a time.
const PIECE_BYTES: usize = 1 << 10;

/// A proxy that listens.
pub struct Proxy {
    listener: Listener,
    options: Arc<ProxyOptions>,
    address: String,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

trait Both: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

impl Proxy {
    /// Takes the address.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it cannot be had.
    pub async fn bind(options: ProxyOptions) -> Result<Self> {
        let taken = |e| Error::unavailable(format!("cannot listen on {}", options.listen)).caused_by(e);
        let (listener, address) = if let Some(path) = options.listen.strip_prefix("unix:") {
            (Listener::Unix(UnixListener::bind(path).map_err(taken)?), options.listen.clone())
        } else {
            let tcp = TcpListener::bind(&options.listen).await.map_err(taken)?;
            let address = tcp.local_addr().map_err(taken)?;
            (Listener::Tcp(tcp), format!("http://{address}"))
        };
        Ok(Self { listener, options: Arc::new(options), address })
    }

    /// Where it can be reached, as a client writes it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Passes on connections. Does not end by itself.
    pub async fn run(self) {
        let count = Arc::new(AtomicU64::new(0));
        loop {
            let accepted: std::io::Result<Box<dyn Both>> = match &self.listener {
                Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as Box<dyn Both>),
                Listener::Unix(listener) => {
                    listener.accept().await.map(|(stream, _)| Box::new(stream) as Box<dyn Both>)
                }
            };
            let Ok(client) = accepted else { continue };
            let number = count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(pass(client, Arc::clone(&self.options), number));
        }
    }
}

/// One connection; the fault comes into what the server answers.
async fn pass(client: Box<dyn Both>, options: Arc<ProxyOptions>, number: u64) {
    let server: std::io::Result<Box<dyn Both>> = match options.to.strip_prefix("unix:") {
        Some(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as Box<dyn Both>),
        None => TcpStream::connect(&options.to).await.map(|stream| Box::new(stream) as Box<dyn Both>),
    };
    let Ok(server) = server else { return };
    let (mut from_client, to_client) = tokio::io::split(client);
    let (from_server, mut to_server) = tokio::io::split(server);
    // Either way that ends takes the other along: half a connection is of use to nobody.
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => (),
        _ = answer(from_server, to_client, &options, number) => (),
    }
}

async fn answer(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    options: &ProxyOptions,
    number: u64,
) -> std::io::Result<()> {
    let mut random = Seeded::new(options.seed, &format!("connection {number}"));
    let span = options.offset_bytes_max.saturating_sub(options.offset_bytes_min);
    let offset = options.offset_bytes_min + random.up_to(span);
    let mut passed = 0;
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let count = from.read(&mut piece).await?;
        piece.truncate(count);
        if count == 0 {
            return to.shutdown().await;
        }
        passed += count as u64;
        let is_due = passed > offset;
        match options.fault {
            Fault::Cut if is_due => return Ok(()),
            Fault::Stall if is_due => std::future::pending::<()>().await,
            Fault::Slow if is_due => tokio::time::sleep(options.pause).await,
            Fault::Duplicate if is_due => to.write_all(&piece).await?,
            Fault::Corrupt if is_due => piece[random.up_to(count as u64 - 1) as usize] ^= 1 << random.up_to(7),
            Fault::Reorder if is_due && count > 1 => {
                let rest = piece.split_off(count / 2);
                to.write_all(&rest).await?;
            }
            _ => (),
        }
        to.write_all(&piece).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client gets of 10,000 bytes through a proxy with this fault; `None` if it waits in vain.
    async fn through(fault: Fault, offset_bytes_min: u64) -> Option<Vec<u8>> {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let to = server.local_addr().expect("an address").to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                let _ = stream.write_all(&sent()).await;
            }
        });
        let options = ProxyOptions {
            listen: "127.0.0.1:0".to_owned(),
            to,
            fault,
            seed: 1,
            offset_bytes_min,
            offset_bytes_max: offset_bytes_min + 5_000,
            pause: Duration::from_millis(1),
        };
        let proxy = Proxy::bind(options).await.expect("a port");
        let address = proxy.address().trim_start_matches("http://").to_owned();
        tokio::spawn(proxy.run());
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let mut found = Vec::new();
        tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut found)).await.ok()?.ok()?;
        Some(found)
    }

    fn sent() -> Vec<u8> {
        (0..10_000_u32).map(|i| (i * 7 + i / 251) as u8).collect()
    }

    #[tokio::test]
    async fn a_proxy_without_a_fault_and_one_that_spares_change_nothing() {
        assert_eq!(through(Fault::None, 0).await, Some(sent()));
        assert_eq!(through(Fault::Corrupt, 10_000).await, Some(sent()));
        assert_eq!(through(Fault::Slow, 0).await, Some(sent()));
    }

    #[tokio::test]
    async fn each_fault_does_to_the_bytes_what_its_name_says() {
        let cut = through(Fault::Cut, 0).await.expect("ends");
        assert!(cut.len() < 10_000 && sent().starts_with(&cut), "{}", cut.len());
        assert!(through(Fault::Duplicate, 0).await.expect("ends").len() > 10_000);
        for fault in [Fault::Corrupt, Fault::Reorder] {
            let found = through(fault, 0).await.expect("ends");
            assert!(found.len() == 10_000 && found != sent(), "{fault:?}");
        }
        assert_eq!(through(Fault::Stall, 0).await, None);
    }
}
