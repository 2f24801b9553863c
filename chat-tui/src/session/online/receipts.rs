//! Says what arrived and what was read, many messages to a receipt.

use std::time::Duration;

use tokio::time::sleep;

use crate::session::uplink::Context;

/// Messages of one burst share a receipt.
const GATHER: Duration = Duration::from_millis(150);

/// Runs until the store fails; says how.
pub async fn run(context: Context) -> String {
    let mut look = context.look.subscribe();
    look.mark_changed();
    while look.changed().await.is_ok() {
        sleep(GATHER).await;
        look.mark_unchanged();
        match context.store.call(|store| store.write_receipts()).await {
            Ok(true) => context.changed().await,
            Ok(false) => {}
            Err(error) => return error.to_string(),
        }
    }
    "the session has ended".into()
}
