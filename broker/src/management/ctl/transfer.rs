//! The files of `export_definitions` and `import_definitions`.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::management::reply::Line;
use crate::management::request::{Request, Transfer};

use super::client::{Answer, ClientError};
use super::print;

const STANDARD: &str = "-";

/// Puts the file that is to be imported into the request.
pub fn read_file(request: &mut Request) -> Result<(), ClientError> {
    let Request::Transfer(Transfer::ImportDefinitions { file, text, .. }) = request else { return Ok(()) };
    let (path, read) = match file {
        Some(path) if path != STANDARD => (path.as_str(), std::fs::read_to_string(&*path)),
        _ => ("standard input", io::read_to_string(io::stdin().lock())),
    };
    *text = read.map_err(|source| ClientError::File { what: "read", path: path.to_owned(), source })?;
    Ok(())
}

/// Writes what the broker exports, once all of it is here: a file that is there already stays until then.
pub fn write_file(path: &str, answer: Answer, is_quiet: bool) -> Result<(), ClientError> {
    let (mut text, mut notes, mut is_whole) = (String::new(), Vec::new(), false);
    for line in answer {
        match line? {
            Line::Piece(piece) => text.push_str(&piece),
            Line::Note(note) => notes.push(note),
            Line::Failed(failure) => return Err(ClientError::Refused(failure)),
            Line::Done => is_whole = true,
            Line::Columns(_) | Line::Row(_) | Line::Facts(_) => {}
        }
    }
    if !is_whole {
        return Err(ClientError::Answer("it ended in the middle".to_owned()));
    }
    let written = match path {
        STANDARD => io::stdout().lock().write_all(text.as_bytes()),
        path => write_private(path, &text),
    };
    match written {
        // Whoever reads our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => {
            let failed = |source| ClientError::File { what: "write", path: path.to_owned(), source };
            written.map_err(failed)?;
        }
    }
    if !is_quiet {
        notes.iter().for_each(|note| eprintln!("{}", print::harmless(note)));
    }
    Ok(())
}

/// There are password hashes in it: nobody else may read it. A file that is there already stays until the new one is on
/// disk.
fn write_private(path: &str, text: &str) -> io::Result<()> {
    // Where a link leads, not the link, is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
        // A pipe or a terminal.
        return options.open(path)?.write_all(text.as_bytes());
    }
    let mut name = path.clone().into_os_string();
    name.push(".new");
    let new = PathBuf::from(name);
    // One that was left behind may be readable by others.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.create_new(true).open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| std::fs::rename(&new, &path)).inspect_err(|_| {
        // Half a file is of no use.
        let _ = std::fs::remove_file(&new);
    })
}
