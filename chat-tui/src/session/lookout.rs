//! When to look for what other sessions of the same user did to the state they share.
//!
//! A change of the state is a write to a file in its folder, and the end of a session closes one there: where the system
//! tells of both (inotify), nothing is looked for while nothing happens. A write is heard of before it is committed, so
//! that several looks follow it, at growing distances; the last distance remains, for what the system does not tell of
//! (folders on other machines).

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The first look after a sign.
const FIRST: Duration = Duration::from_millis(20);
const GROWTH: u32 = 3;
/// The last one, and those without a sign.
const IDLE: Duration = Duration::from_secs(5);
/// Where there are no signs.
const BLIND: Duration = Duration::from_millis(200);

pub struct Lookout {
    signs: Option<signs::Signs>,
    next: Instant,
    distance: Duration,
}

impl Lookout {
    /// Looks at once, then after changes of `folder`.
    pub fn new(folder: &Path) -> Lookout {
        let signs = signs::Signs::of(folder)
            .inspect_err(|error| tracing::debug!("{} cannot be watched: {error}", folder.display()))
            .ok();
        Lookout { signs, next: Instant::now(), distance: FIRST }
    }

    /// Waits until it is time to look. Can be dropped and called again.
    pub async fn due(&mut self) {
        while let Some(signs) = &self.signs {
            tokio::select! {
                () = sleep_until(self.next) => {
                    self.distance = (self.distance * GROWTH).min(IDLE);
                    self.next = Instant::now() + self.distance;
                    return;
                }
                seen = signs.next() => match seen {
                    Ok(()) => {
                        self.distance = FIRST;
                        self.next = self.next.min(Instant::now() + FIRST);
                    }
                    Err(error) => {
                        tracing::warn!("the local state is no longer watched: {error}");
                        self.signs = None;
                    }
                },
            }
        }
        sleep_until(self.next).await;
        self.next = Instant::now() + BLIND;
    }
}

#[cfg(target_os = "linux")]
mod signs {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// Room for many signs at once; what they say does not matter.
    const SIGNS_BYTES: usize = 4096;

    pub struct Signs(AsyncFd<OwnedFd>);

    impl Signs {
        pub fn of(folder: &Path) -> io::Result<Signs> {
            let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            add_watch(&inotify, folder, WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE)?;
            // What is deprecated about it are descriptors that may change or close while they are registered: an `OwnedFd`
            // does neither.
            #[expect(deprecated)]
            Ok(Signs(AsyncFd::with_interest(inotify, Interest::READABLE)?))
        }

        pub async fn next(&self) -> io::Result<()> {
            let mut buffer = [0; SIGNS_BYTES];
            loop {
                let mut ready = self.0.readable().await?;
                let read = ready.try_io(|inotify| Ok(rustix::io::read(inotify.get_ref(), &mut buffer)?));
                if let Ok(read) = read {
                    return read.map(drop);
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod signs {
    use std::{io, path::Path};

    pub struct Signs;

    impl Signs {
        pub fn of(_: &Path) -> io::Result<Signs> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub async fn next(&self) -> io::Result<()> {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// As it is long after the last sign.
    async fn quiet(folder: &Path) -> Lookout {
        let mut lookout = Lookout::new(folder);
        lookout.due().await;
        (lookout.next, lookout.distance) = (Instant::now() + Duration::from_secs(3600), IDLE);
        lookout
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_write_and_the_end_of_a_writer_are_looked_at_several_times() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        std::fs::write(&path, "before").unwrap();
        let mut lookout = quiet(folder.path()).await;
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, b"after").unwrap();
        for look in 1..=4 {
            assert!(timeout(PATIENCE, lookout.due()).await.is_ok(), "look {look}");
        }
        let mut lookout = quiet(folder.path()).await;
        drop(file);
        assert!(timeout(PATIENCE, lookout.due()).await.is_ok(), "the end of the writer");
    }

    #[tokio::test(start_paused = true)]
    async fn without_signs_it_is_looked_again_and_again() {
        let mut lookout = Lookout::new(Path::new("/nowhere/at/all"));
        assert!(lookout.signs.is_none());
        let start = Instant::now();
        for _ in 0..11 {
            lookout.due().await;
        }
        assert_eq!(start.elapsed(), 10 * BLIND);
    }
}
