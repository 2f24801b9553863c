//! Being a job of a shell, which can be stopped and go on.

/// Stops the process until somebody lets it go on.
///
/// # Errors
///
/// When nobody could: the text is for the person.
#[cfg(unix)]
pub async fn stop() -> Result<(), String> {
    use rustix::process::{Signal, getpid, kill_process};
    use tokio::signal::unix::{SignalKind, signal};
    if !has_shell() {
        return Err("There is no shell here to go back to.".to_owned());
    }
    let problem = |error: &dyn std::fmt::Display| format!("Cannot stop: {error}.");
    // The other threads may run on for a moment; only this one says that it is over.
    let mut goes_on = signal(SignalKind::from_raw(Signal::CONT.as_raw())).map_err(|error| problem(&error))?;
    kill_process(getpid(), Signal::STOP).map_err(|error| problem(&error))?;
    goes_on.recv().await;
    Ok(())
}

#[cfg(not(unix))]
pub async fn stop() -> Result<(), String> {
    Err("There is no shell here to go back to.".to_owned())
}

/// Whether whoever started us watches over jobs: it is in our session, and in another group than we are. Otherwise nobody
/// would ever let us go on.
#[cfg(unix)]
fn has_shell() -> bool {
    use rustix::process::{getpgid, getpgrp, getppid, getsid};
    let Some(parent) = getppid() else { return false };
    let same_session = getsid(Some(parent)).is_ok_and(|of_parent| getsid(None) == Ok(of_parent));
    same_session && getpgid(Some(parent)).is_ok_and(|of_parent| of_parent != getpgrp())
}
