//! The asking end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::management::control_socket::{self, ControlSocketError};
use crate::management::reply::{FILE_BYTES_MAX, Failure, Line, REQUEST_BYTES_MAX};
use crate::management::request::{Envelope, Request, Transfer};

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{}{why}", unavailable(path))]
    Unavailable {
        path: PathBuf,
        why: String,
        /// Nobody listens; elsewise somebody does who is not for us.
        is_nobody_there: bool,
    },
    #[error(transparent)]
    Path(#[from] ControlSocketError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("cannot {what} {path}: {source}")]
    File { what: &'static str, path: String, source: io::Error },
    #[error("{0}")]
    Refused(#[from] Failure),
    #[error("the broker's answer cannot be read: {0}")]
    Answer(String),
}

impl ClientError {
    /// Whether waiting may help.
    pub fn is_no_broker_yet(&self) -> bool {
        matches!(self, ClientError::Unavailable { is_nobody_there: true, .. })
    }
}

fn unavailable(path: &Path) -> String {
    format!("cannot reach a broker at {}: ", path.display())
}

/// Sends the request to the broker on this data folder.
pub fn ask(data_dir: &Path, envelope: &Envelope, timeout: Duration) -> Result<Answer, ClientError> {
    let path = control_socket::path(data_dir)?;
    let stream = UnixStream::connect(&path).map_err(|error| why(&path, data_dir, &error))?;
    // Zero would mean no timeout at all to the operating system, and is an error to the library.
    let timeout = Some(timeout.max(Duration::from_millis(1)));
    stream.set_read_timeout(timeout)?;
    stream.set_write_timeout(timeout)?;
    let mut request = serde_json::to_vec(envelope).map_err(|error| ClientError::Answer(error.to_string()))?;
    if request.len() >= REQUEST_BYTES_MAX {
        let reason = format!("the request is larger than {REQUEST_BYTES_MAX} bytes");
        return Err(ClientError::Refused(Failure::new(reason)));
    }
    request.push(b'\n');
    let file = match &envelope.request {
        Request::Transfer(Transfer::ImportDefinitions { text, .. }) => Some(text),
        _ => None,
    };
    if file.is_some_and(|text| text.len() > FILE_BYTES_MAX) {
        let reason = format!("the file is larger than {FILE_BYTES_MAX} bytes");
        return Err(ClientError::Refused(Failure::new(reason)));
    }
    (&stream).write_all(&request)?;
    if let Some(text) = file {
        (&stream).write_all(text.as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
    }
    Ok(Answer(BufReader::with_capacity(64 << 10, stream)))
}

fn why(path: &Path, data_dir: &Path, error: &io::Error) -> ClientError {
    let data_dir_exists = data_dir.is_dir();
    let why = match error.kind() {
        io::ErrorKind::NotFound if !data_dir_exists => {
            "there is no such data folder. Name the broker's with --data-dir or --config".to_owned()
        }
        io::ErrorKind::NotFound => {
            "no broker runs on this data folder. Start it, or name another with --data-dir or --config"
                .to_owned()
        }
        io::ErrorKind::ConnectionRefused => {
            "no broker runs on this data folder any more: the last one ended without saying goodbye. Start it again"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "it belongs to another user of this machine. Run this command as that user, or as root".to_owned()
        }
        _ => error.to_string(),
    };
    let is_nobody_there = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
    ClientError::Unavailable { path: path.to_owned(), why, is_nobody_there }
}

/// Tells the broker to stop, and returns when it has ended: nobody holds the other end of the connection any more.
pub fn stop(data_dir: &Path, envelope: &Envelope, timeout: Duration) -> Result<(), ClientError> {
    let path = control_socket::path(data_dir)?;
    let before = identity(&path);
    for line in ask(data_dir, envelope, timeout)? {
        match line? {
            Line::Failed(failure) => return Err(ClientError::Refused(failure)),
            Line::Columns(_)
            | Line::Row(_)
            | Line::Facts(_)
            | Line::Piece(_)
            | Line::Note(_)
            | Line::Done => {}
        }
    }
    // It goes last, and only in good order. Another one may be the next broker's.
    if before.is_some() && identity(&path) == before {
        return Err(ClientError::Refused(Failure::new(
            "the broker ended, but not in good order: its log says why",
        )));
    }
    Ok(())
}

/// What tells a file from a later one of the same name.
fn identity(path: &Path) -> Option<(u64, i64, i64)> {
    let metadata = path.metadata().ok()?;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// The lines of an answer as they come.
pub struct Answer(BufReader<UnixStream>);

impl Iterator for Answer {
    type Item = Result<Line, ClientError>;

    fn next(&mut self) -> Option<Result<Line, ClientError>> {
        let mut line = Vec::new();
        match self.0.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => {
                Some(serde_json::from_slice(&line).map_err(|error| ClientError::Answer(error.to_string())))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let text = "the broker did not answer in time; --timeout says how many seconds to wait";
                Some(Err(io::Error::new(io::ErrorKind::TimedOut, text).into()))
            }
            Err(error) => Some(Err(error.into())),
        }
    }
}
