//! Logins, sign-up and administration against real definitions.

mod admin;
mod login;
mod sign_up;

use super::*;

const NEAR: &str = "127.0.0.1";
const FAR: &str = "192.0.2.7";
const FURTHER: &str = "192.0.2.8";

struct Broker {
    authority: Authority,
    definitions: Definitions,
    folder: tempfile::TempDir,
}

impl Broker {
    fn new() -> Broker {
        Broker::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut AuthOptions)) -> Broker {
        Broker::open(tempfile::tempdir().unwrap(), change)
    }

    fn open(folder: tempfile::TempDir, change: impl FnOnce(&mut AuthOptions)) -> Broker {
        let path = folder.path().join(crate::definitions::FILE_NAME);
        let (definitions, mut snapshot) = Definitions::open(&path).unwrap();
        let authority = Authority::load(&mut snapshot, definitions.clone(), options(change)).unwrap();
        Broker { authority, definitions, folder }
    }

    fn restart(self) -> Broker {
        self.definitions.close().unwrap();
        let Broker { authority, definitions, folder } = self;
        drop((authority, definitions));
        Broker::open(folder, |_| {})
    }

    async fn log_in(&self, user: &str, password: &str, peer: &str) -> Result<Arc<User>, AuthError> {
        self.authenticate(user, password, peer, None).await
    }

    async fn sign_up(&self, user: &str, password: &str, peer: &str) -> Result<Arc<User>, SignUpError> {
        self.sign_up_with(user, password, peer, SignUp::Open).await
    }

    async fn sign_up_with(
        &self,
        user: &str,
        password: &str,
        peer: &str,
        wish: SignUp,
    ) -> Result<Arc<User>, SignUpError> {
        match self.authenticate(user, password, peer, Some(wish)).await {
            Ok(user) => Ok(user),
            Err(AuthError::SignUp(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    async fn authenticate(
        &self,
        user: &str,
        password: &str,
        peer: &str,
        sign_up: Option<SignUp>,
    ) -> Result<Arc<User>, AuthError> {
        let response = format!("\0{user}\0{password}");
        self.authority.authenticate("PLAIN", response.as_bytes(), peer.parse().unwrap(), sign_up).await
    }

    /// Slow checks that `work` cost.
    async fn checks_of(&self, work: impl Future) -> u64 {
        let before = self.authority.password_checks();
        work.await;
        self.authority.password_checks() - before
    }
}

fn options(change: impl FnOnce(&mut AuthOptions)) -> AuthOptions {
    let cheap = Cost { memory_kib: 8, iterations: 1, lanes: 1 };
    let mut options = AuthOptions { password_cost: cheap, ..AuthOptions::default() };
    change(&mut options);
    options
}

fn refused_for(result: Result<Arc<User>, AuthError>) -> RefusedReason {
    match result {
        Err(AuthError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn is_throttled(result: &Result<Arc<User>, AuthError>) -> bool {
    matches!(result, Err(AuthError::Throttled { .. }))
}

/// Runs the futures side by side on this thread, in no particular order.
async fn all<F: Future<Output: Send + 'static> + Send + 'static>(
    futures: impl IntoIterator<Item = F>,
) -> Vec<F::Output> {
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.unwrap());
    }
    outputs
}

/// Lets other tasks and threads run until `condition` holds.
async fn eventually(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reached).await.expect("never happened");
}
