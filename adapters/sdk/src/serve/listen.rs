//! Addresses: a Unix socket, a port of this machine, or the socket that the parent process left as standard input.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::{Connected, Router, TcpIncoming};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Where an adapter listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket at this path: the file's permissions decide who may call.
    Unix(PathBuf),
    /// A loopback port; 0 for a free one.
    Tcp(SocketAddr),
    /// One end of a Unix socket pair, inherited as standard input: only the parent process can call.
    Stdin,
}

impl FromStr for Listen {
    type Err = Error;

    /// Reads `unix:PATH`, `stdin`, or `HOST:PORT` with a loopback address, with or without `http://`.
    fn from_str(text: &str) -> Result<Self> {
        if text == "stdin" {
            return Ok(Self::Stdin);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let address: Option<SocketAddr> = text.strip_prefix("http://").unwrap_or(text).parse().ok();
        match address.filter(|address| address.ip().is_loopback()) {
            Some(address) => Ok(Self::Tcp(address)),
            None => Err(Error::invalid_request(format!(
                "an adapter listens at unix:PATH, at 127.0.0.1:PORT or on stdin, found {}",
                quoted(text)
            ))),
        }
    }
}

/// An address that is taken, and nobody answers there yet.
///
/// Taking it needs no runtime, so that a process can take its address and then confine itself.
#[derive(Debug)]
pub struct BoundListen(Bound);

#[derive(Debug)]
enum Bound {
    Unix(std::os::unix::net::UnixListener, PathBuf),
    Tcp(std::net::TcpListener),
    Stdin(std::os::unix::net::UnixStream),
}

impl Listen {
    /// Takes the address. A Unix socket that a dead process left behind is replaced.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the address cannot be had.
    pub fn bind(&self) -> Result<BoundListen> {
        let not_bound = |error| not_bound(self, error);
        let bound = match self {
            Self::Unix(path) => {
                let answer = std::os::unix::net::UnixStream::connect(path);
                if answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                    // Nobody answers: the socket is what a dead process left behind.
                    std::fs::remove_file(path).map_err(not_bound)?;
                }
                let listener = std::os::unix::net::UnixListener::bind(path).map_err(not_bound)?;
                listener.set_nonblocking(true).map_err(not_bound)?;
                Bound::Unix(listener, path.clone())
            }
            Self::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address).map_err(not_bound)?;
                listener.set_nonblocking(true).map_err(not_bound)?;
                Bound::Tcp(listener)
            }
            Self::Stdin => Bound::Stdin(inherited().map_err(not_bound)?),
        };
        Ok(BoundListen(bound))
    }
}

pub(super) enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener, SocketAddr),
    Stdin(UnixStream),
}

impl Listener {
    /// The address inside a runtime.
    pub(super) fn of(bound: BoundListen) -> Result<Self> {
        let listener = || match bound.0 {
            Bound::Unix(listener, path) => Ok(Self::Unix(UnixListener::from_std(listener)?, path)),
            Bound::Tcp(listener) => {
                let address = listener.local_addr()?;
                Ok(Self::Tcp(TcpListener::from_std(listener)?, address))
            }
            Bound::Stdin(connection) => Ok(Self::Stdin(UnixStream::from_std(connection)?)),
        };
        listener().map_err(|error: io::Error| Error::unavailable("the adapter could not listen").caused_by(error))
    }

    pub(super) fn address(&self) -> String {
        match self {
            Self::Unix(_, path) => format!("unix:{}", path.display()),
            Self::Tcp(_, address) => format!("http://{address}"),
            Self::Stdin(_) => "stdin".to_owned(),
        }
    }

    pub(super) async fn serve(
        self,
        router: Router,
        end: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        match self {
            Self::Unix(listener, path) => {
                let served = router.serve_with_incoming_shutdown(UnixListenerStream::new(listener), end).await;
                // Nobody can do anything about a socket that is already gone.
                let _ = std::fs::remove_file(path);
                served
            }
            Self::Tcp(listener, _) => router.serve_with_incoming_shutdown(connections(listener), end).await,
            Self::Stdin(connection) => {
                let (connection, gone) = Inherited::new(connection);
                // There is one connection and there will be no other: its end is the server's.
                let incoming = tokio_stream::once(Ok::<_, std::io::Error>(connection)).chain(tokio_stream::pending());
                let end = async move {
                    tokio::select! {
                        () = end => (),
                        _ = gone => (),
                    }
                };
                router.serve_with_incoming_shutdown(incoming, end).await
            }
        }
    }
}

/// The connections that come in. What is written goes out at once: it would wait for a delayed acknowledgment, 40 ms an
/// answer.
fn connections(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

/// The one connection of a server on standard input; when the transport lets go of it, whoever waits is told.
struct Inherited {
    stream: UnixStream,
    _gone: oneshot::Sender<()>,
}

impl Inherited {
    fn new(stream: UnixStream) -> (Self, oneshot::Receiver<()>) {
        let (sender, gone) = oneshot::channel();
        (Self { stream, _gone: sender }, gone)
    }
}

impl Connected for Inherited {
    type ConnectInfo = <UnixStream as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Inherited {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Inherited {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The socket that the parent process left as standard input.
fn inherited() -> io::Result<std::os::unix::net::UnixStream> {
    let connection = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    connection.set_nonblocking(true)?;
    Ok(connection)
}

fn not_bound(listen: &Listen, error: io::Error) -> Error {
    Error::unavailable(format!("the adapter could not listen at {listen:?}")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_listens_on_this_machine_only() {
        assert_eq!("unix:run/a.sock".parse::<Listen>().expect("valid"), Listen::Unix("run/a.sock".into()));
        assert!(matches!("http://127.0.0.1:0".parse::<Listen>().expect("valid"), Listen::Tcp(_)));
        assert!("0.0.0.0:8000".parse::<Listen>().is_err());
        assert!("hub.example:8000".parse::<Listen>().is_err());
    }

    #[tokio::test]
    async fn answers_do_not_wait_for_acknowledgments() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut incoming = connections(listener);
        let _client = tokio::net::TcpStream::connect(incoming.local_addr().expect("bound")).await.expect("connects");
        let connection = incoming.next().await.expect("a connection").expect("accepted");
        assert!(connection.nodelay().expect("an option of every connection"));
    }
}
