//! The broker's end of the control socket: `control.sock` in the data folder, for the broker's own user (and root).

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::broker::Broker;

use super::execute;
use super::reply::{FILE_BYTES_MAX, Failure, Line, REQUEST_BYTES_MAX};
use super::request::{Envelope, Request, Transfer};

const FILE_NAME: &str = "control.sock";

/// What `sockaddr_un` holds on Linux, without the final zero.
const PATH_BYTES_MAX: usize = 107;

/// Operators at once; further ones wait to be accepted.
const CLIENTS_MAX: usize = 16;

/// For the request to come, and for each piece of the answer to be taken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pieces of an answer that may wait to be taken.
const CHUNKS_MAX: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum ControlSocketError {
    #[error(
        "the path of the control socket, {}, has {} bytes, more than the {PATH_BYTES_MAX} that the operating system \
         allows. Use a data folder with a shorter path (--data-dir)",
        .0.display(), .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    #[error("cannot make the control socket {}: {source}", path.display())]
    Make { path: PathBuf, source: io::Error },
}

/// Where the broker on this data folder listens for operators.
pub fn path(data_dir: &Path) -> Result<PathBuf, ControlSocketError> {
    let path = data_dir.join(FILE_NAME);
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(ControlSocketError::PathTooLong(path));
    }
    Ok(path)
}

/// The listening socket; its file goes with it.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    is_left: AtomicBool,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if !self.is_left.load(Ordering::Relaxed) {
            // Whoever finds it there later finds nobody listening, and the next broker replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl ControlSocket {
    /// The caller holds the lock on the data folder: a file that is there is a dead broker's.
    pub(crate) fn bind(data_dir: &Path) -> Result<ControlSocket, ControlSocketError> {
        let path = path(data_dir)?;
        let made = || {
            // Closed to others before it can be found under its name.
            let unready = data_dir.join(".control.new");
            match std::fs::remove_file(&unready) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&unready)?;
            std::fs::set_permissions(&unready, std::fs::Permissions::from_mode(0o600))?;
            std::fs::rename(&unready, &path)?;
            Ok(listener)
        };
        match made() {
            Ok(listener) => Ok(ControlSocket { listener, path, is_left: AtomicBool::new(false) }),
            Err(source) => Err(ControlSocketError::Make { path, source }),
        }
    }

    /// The file stays when this is dropped, as a crash would leave it.
    pub(crate) fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }
}

/// Serves operators until the task is dropped.
pub(crate) async fn serve(broker: Arc<Broker>, socket: Arc<ControlSocket>) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        // Never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let broker = broker.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve_one(broker, stream).await {
                        tracing::debug!("the control connection was lost: {error}");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!("cannot accept a control connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one(broker: Arc<Broker>, stream: UnixStream) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let ours = rustix::process::geteuid().as_raw();
    if peer != ours && peer != 0 {
        tracing::warn!("refused a control connection of the operating system's user {peer}");
        return send(&mut writer, &Line::Failed(Failure::new("this broker belongs to another user"))).await;
    }
    let envelope = match timeout(PATIENCE, read_request(reader)).await {
        Ok(read) => read?,
        Err(_) => Err(Failure::new(format!("no request came within {} s", PATIENCE.as_secs()))),
    };
    let (chunks, answer) = mpsc::channel(CHUNKS_MAX);
    let answering = async {
        let output = Output::new(chunks);
        let failed = match envelope {
            Ok(envelope) => execute::execute(&broker, envelope, &output).await.err(),
            Err(failure) => Some(failure),
        };
        output.line(&failed.map_or(Line::Done, Line::Failed)).await;
    };
    let ((), written) = tokio::join!(answering, write_all(answer, writer));
    written
}

async fn read_request(reader: OwnedReadHalf) -> io::Result<Result<Envelope, Failure>> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let limit = REQUEST_BYTES_MAX as u64 + 1;
    (&mut reader).take(limit).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        let reason = match line.len() > REQUEST_BYTES_MAX {
            true => format!("the request is larger than {REQUEST_BYTES_MAX} bytes"),
            false => "the request was cut off".to_owned(),
        };
        return Ok(Err(Failure::new(reason)));
    }
    let parsed = serde_json::from_slice(&line).map_err(|error| {
        Failure::new(format!(
            "this broker (version {}) does not understand the request: {error}. Use `broker ctl` of the same version",
            env!("CARGO_PKG_VERSION")
        ))
    });
    let mut envelope: Envelope = match parsed {
        Ok(envelope) => envelope,
        Err(failure) => return Ok(Err(failure)),
    };
    if let Request::Transfer(Transfer::ImportDefinitions { text, .. }) = &mut envelope.request {
        reader.take(FILE_BYTES_MAX as u64 + 1).read_to_string(text).await?;
        if text.len() > FILE_BYTES_MAX {
            return Ok(Err(Failure::new(format!("the file is larger than {FILE_BYTES_MAX} bytes"))));
        }
    }
    Ok(Ok(envelope))
}

/// Writes what comes out of the channel, until it is closed or the peer takes no more.
async fn write_all(mut answer: mpsc::Receiver<Vec<u8>>, mut writer: OwnedWriteHalf) -> io::Result<()> {
    while let Some(chunk) = answer.recv().await {
        timeout(PATIENCE, writer.write_all(&chunk))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken"))??;
    }
    writer.shutdown().await
}

async fn send(writer: &mut OwnedWriteHalf, line: &Line) -> io::Result<()> {
    timeout(PATIENCE, writer.write_all(&encoded(line))).await??;
    writer.shutdown().await
}

fn encoded(line: &Line) -> Vec<u8> {
    let mut encoded = serde_json::to_vec(line).unwrap_or_else(|error| {
        // No map of ours has keys other than strings.
        debug_assert!(false, "{error}");
        br#"{"failed":{"reason":"the answer cannot be written as JSON"}}"#.to_vec()
    });
    encoded.push(b'\n');
    encoded
}

/// Where the answer goes.
#[derive(Clone)]
pub struct Output {
    chunks: mpsc::Sender<Vec<u8>>,
}

impl Output {
    pub fn new(chunks: mpsc::Sender<Vec<u8>>) -> Output {
        Output { chunks }
    }

    pub async fn line(&self, line: &Line) {
        // Nobody listens any more: what was asked is done all the same.
        let _ = self.chunks.send(encoded(line)).await;
    }

    /// As [`Output::blocking_chunk`].
    pub fn blocking_line(&self, line: &Line) -> bool {
        self.blocking_chunk(encoded(line))
    }

    /// For a thread that may block; waits when the peer reads slowly. False when nobody listens any more.
    pub fn blocking_chunk(&self, chunk: Vec<u8>) -> bool {
        self.chunks.blocking_send(chunk).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_no_socket_can_have_is_refused_with_what_to_do() {
        let long = PathBuf::from(format!("/{}", "d".repeat(PATH_BYTES_MAX - FILE_NAME.len() - 2)));
        assert!(path(&long).is_ok(), "the longest that fits");
        let error = path(&long.join("x")).expect_err("too long").to_string();
        assert!(error.contains("has 109 bytes") && error.contains("--data-dir"), "{error}");
    }
}
