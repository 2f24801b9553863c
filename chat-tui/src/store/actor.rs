//! The store on a thread of its own, for async callers.

use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::{Store, StoreError};

/// Jobs that may wait for the thread; more make callers wait.
const JOBS_MAX: usize = 64;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// A handle on the store's thread. The thread ends, and the database closes, when the last handle is dropped.
#[derive(Clone)]
pub struct StoreActor {
    jobs: mpsc::Sender<Job>,
}

impl StoreActor {
    /// Moves the store onto its thread.
    pub fn spawn(mut store: Store) -> Result<StoreActor, StoreError> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(JOBS_MAX);
        thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                while let Some(job) = waiting.blocking_recv() {
                    job(&mut store);
                }
            })
            .map_err(|source| StoreError::Io { what: "cannot start the store's thread".into(), source })?;
        Ok(StoreActor { jobs })
    }

    /// Runs `work` on the store's thread. Calls of one caller run in the order they were made.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            // The caller may be gone; the work is done all the same.
            let _ = answer.send(work(store));
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)?
    }
}
