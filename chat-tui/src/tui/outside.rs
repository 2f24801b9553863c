//! Writing a message in an editor of the person's own.

use std::fs;
use std::io::{self, Write};
use std::process::{ExitStatus, Stdio};

use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use super::text;
use super::update::DRAFT_BYTES_MAX;

/// Used where neither VISUAL nor EDITOR says otherwise.
const EDITOR: &str = "vi";

/// Longer texts are cut by those who show them.
const NOTICE_COLUMNS_MAX: usize = 200;

/// An editor that is open. It ends when this is dropped.
pub struct Outside {
    editor: String,
    child: Child,
    file: NamedTempFile,
}

impl Outside {
    /// Opens `text` in the person's editor. The terminal has to be given back before.
    pub fn open(text: &str) -> Result<Self, String> {
        let editor = ["VISUAL", "EDITOR"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
            .unwrap_or_else(|| EDITOR.to_owned());
        let file = write(text).map_err(|error| format!("There is no room for a temporary file: {error}."))?;
        let child = Command::new("sh")
            // The variable may hold options too, as for git and others.
            .args(["-c", &format!("{editor} \"$1\""), "sh"])
            .arg(file.path())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                format!("`{editor}` does not start ({error}). Set EDITOR to an editor you have.")
            })?;
        Ok(Outside { editor, child, file })
    }

    /// Waits for the editor's end. Can be dropped and called again.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// What was written. What cannot be taken stays in its file.
    pub fn result(self, status: io::Result<ExitStatus>) -> Result<String, String> {
        let editor = &self.editor;
        match status {
            Ok(status) if status.success() => {}
            Ok(status) if status.code() == Some(127) => {
                return Err(format!("There is no editor `{editor}`. Set EDITOR to one you have."));
            }
            Ok(status) => return Err(format!("`{editor}` ended with {status}; your text is as it was.")),
            Err(error) => return Err(format!("`{editor}` cannot be waited for: {error}.")),
        }
        // Editors may put another file in its place, so it is read by its name.
        let bytes = fs::read(self.file.path())
            .map_err(|error| format!("The text cannot be read back: {error}; yours is as it was."))?;
        let problem = match String::from_utf8(bytes) {
            Ok(text) if text.len() <= DRAFT_BYTES_MAX => {
                return Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned());
            }
            Ok(text) => format!("That is too much ({} KiB)", text.len() / 1024),
            Err(_) => "That is not UTF-8 text".to_owned(),
        };
        match self.file.keep() {
            Ok((_, path)) => Err(format!("{problem}. It is kept in {}.", path.display())),
            Err(error) => Err(format!("{problem}, and cannot be kept: {error}.")),
        }
    }
}

fn write(text: &str) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("warren-").suffix(".md").tempfile()?;
    file.write_all(text.as_bytes())?;
    // Editors end files with a line break.
    file.write_all(b"\n")?;
    file.flush()?;
    Ok(file)
}

/// Shows a notification by the person's own program. Nothing in it is read by a shell or changes the screen.
pub fn notify(command: &[String], title: &str, body: &str) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut process = std::process::Command::new(program);
    // What a friend wrote must not be taken for an option: a blank before it says that it is none.
    let body = text::fit(body, NOTICE_COLUMNS_MAX);
    let body = if body.starts_with('-') { format!(" {body}") } else { body };
    start(process.args(arguments).arg(title).arg(body)).map_err(|error| {
        format!("No notifications by `{program}`: {error}. See `notify.command` in the config file.")
    })
}

/// Opens `link` with what the system has for it. No shell reads it, and as it begins with its scheme, no program takes it for
/// an option.
pub fn open_link(link: &str) -> Result<(), String> {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    start(std::process::Command::new(opener).arg(link)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("There is no `{opener}` here to open links with: copy it instead.")
        }
        _ => format!("`{opener}` does not start ({error})."),
    })
}

/// Starts a program that goes on by itself, out of sight.
fn start(command: &mut std::process::Command) -> io::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut child = command.spawn()?;
    // It may last as long as a browser does.
    std::thread::spawn(move || child.wait());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_that_cannot_be_shown_says_what_to_do() {
        let problem = notify(&["/no/such/program".to_owned()], "bob", "hi").unwrap_err();
        assert!(problem.contains("`/no/such/program`") && problem.contains("notify.command"), "{problem}");
        assert_eq!(notify(&[], "bob", "hi"), Ok(()));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_friend_writes_is_one_harmless_argument() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let script = format!("printf '%s|' \"$@\" > {0}.new; mv {0}.new {0}", told.display());
        let command = ["sh", "-c", &script, "sh", "--icon"].map(str::to_owned);
        notify(&command, "bob", "--help $(id) \u{1b}[2J").unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !told.exists() {
            assert!(std::time::Instant::now() < deadline, "nothing was told");
            std::thread::yield_now();
        }
        assert_eq!(fs::read_to_string(&told).unwrap(), "--icon|bob| --help $(id) ␛[2J|");
    }
}
