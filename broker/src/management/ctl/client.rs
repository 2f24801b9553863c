//! The asking end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::management::control_socket::{self, ControlSocketError};
use crate::management::reply::{Failure, Line, REQUEST_BYTES_MAX};
use crate::management::request::Envelope;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{}{why}", unavailable(path))]
    Unavailable { path: PathBuf, why: String },
    #[error(transparent)]
    Path(#[from] ControlSocketError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Refused(#[from] Failure),
    #[error("the broker's answer cannot be read: {0}")]
    Answer(String),
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
    (&stream).write_all(&request)?;
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
    ClientError::Unavailable { path: path.to_owned(), why }
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
