//! A whole history in a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use crate::session::api::{ExportFormat, Page, Span};
use crate::store::{Store, StoreError};
use crate::transcript;

/// Messages read at a time.
const PAGE_MESSAGES: usize = 500;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Where a path leads that was typed where no shell reads it: `~/` is the home folder.
pub fn typed_path(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), etcetera::home_dir()) {
        (Ok(rest), Ok(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// Writes the history with `friend` to the new file `path`; returns how many messages that were. An error is for the person.
pub fn to_file(dir: &Path, friend: &str, format: ExportFormat, path: &Path) -> Result<u64, String> {
    let store = Store::open(dir).map_err(|error| error.to_string())?;
    check_known(&store, friend)?;
    let mut options = File::options();
    options.write(true).create_new(true);
    // What friends wrote is for nobody else on this machine.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} is there already, and is not overwritten: give another name", path.display())
        }
        _ => format!("cannot create {}: {error}", path.display()),
    })?;
    let mut out = BufWriter::new(file);
    write(&store, friend, format, &TimeZone::system(), &mut out)
        .and_then(|count| Ok(out.flush().map(|()| count)?))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// An empty file is not made for a name that was mistyped.
pub fn check_known(store: &Store, friend: &str) -> Result<(), String> {
    match store.knows(friend).map_err(|error| error.to_string())? {
        true => Ok(()),
        false => Err(format!("there is nobody called {friend} in your list, and nothing to export")),
    }
}

/// Writes the history with `friend`, oldest first: lines of text, or one JSON document. It may grow meanwhile; what was
/// there when this began is written.
pub fn write(
    store: &Store,
    friend: &str,
    format: ExportFormat,
    zone: &TimeZone,
    out: &mut dyn Write,
) -> Result<u64, ExportError> {
    let (mut after, mut count) = (0, 0);
    let (_, last) = store.newest_change()?;
    if format == ExportFormat::Json {
        write!(out, "{{\"friend\":{},\"messages\":[", serde_json::Value::from(friend))?;
    }
    loop {
        let Page { messages, newer, .. } = store.history(friend, Span::After(after), PAGE_MESSAGES)?;
        for message in messages.iter().take_while(|message| message.row <= last) {
            match format {
                ExportFormat::Text => writeln!(out, "{}", transcript::plain(message, zone))?,
                ExportFormat::Json => {
                    let comma = if count == 0 { "" } else { "," };
                    write!(out, "{comma}\n{}", transcript::json("message", message))?;
                }
            }
            count += 1;
        }
        match messages.last() {
            Some(message) if newer && message.row < last => after = message.row,
            _ => break,
        }
    }
    if format == ExportFormat::Json {
        writeln!(out, "\n]}}")?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_folder_is_found_where_no_shell_is() {
        let home = etcetera::home_dir().unwrap();
        assert_eq!(typed_path(Path::new("~/talk.txt")), home.join("talk.txt"));
        for as_it_is in ["/tmp/talk.txt", "talk.txt", "~bob/talk.txt", "a/~/talk.txt"] {
            assert_eq!(typed_path(Path::new(as_it_is)), Path::new(as_it_is));
        }
    }
}
