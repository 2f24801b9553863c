//! Definitions to and from files. The files are read and written by whoever asks.

use std::sync::Arc;

use crate::broker::Broker;
use crate::management::control_socket::Output;
use crate::management::reply::{Failure, Line};
use crate::management::request::Transfer;
use crate::management::transfer;

pub async fn execute(broker: &Arc<Broker>, command: Transfer, output: &Output) -> Result<(), Failure> {
    let notes = match command {
        Transfer::ExportDefinitions { .. } => {
            let (broker, output) = (broker.clone(), output.clone());
            let export = move || transfer::export(&broker, |piece| output.blocking_line(&Line::Piece(piece)));
            tokio::task::spawn_blocking(export).await.map_err(Failure::new)?
        }
        Transfer::ImportDefinitions { text, .. } => {
            let notes = transfer::import(broker, text).await?;
            tracing::info!("definitions imported by an operator");
            notes
        }
    };
    for note in notes {
        output.line(&Line::Note(note)).await;
    }
    Ok(())
}
