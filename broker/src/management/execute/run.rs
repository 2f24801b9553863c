//! How the broker itself runs: its end, and what an operator changes until then.

use std::sync::Arc;

use crate::broker::{Broker, Process};
use crate::config::memory_bytes;
use crate::management::amount::Amount;
use crate::management::control_socket::Output;
use crate::management::reply::{Failure, Line};
use crate::management::request::Run;

pub async fn execute(broker: &Arc<Broker>, command: Run, output: &Output) -> Result<(), Failure> {
    let note = match command {
        Run::Stop => {
            process(broker)?.stop();
            // Whoever asked waits for the end of this connection, which is the end of the process.
            return std::future::pending().await;
        }
        Run::SetVmMemoryHighWatermark { watermark } => {
            let bytes = Amount::memory_watermark(&watermark)?.bytes(memory_bytes());
            broker.alarms.set_memory_bytes_max(bytes);
            tracing::info!("memory watermark set to {bytes} bytes by an operator");
            until_the_end(
                "publishers are held above",
                bytes,
                "of messages in memory",
                "memory_bytes_high_watermark",
            )
        }
        Run::SetDiskFreeLimit { limit } => {
            let bytes = Amount::disk_limit(&limit)?.bytes(memory_bytes());
            broker.store.set_disk_free_min_bytes(bytes);
            tracing::info!("limit of free disk space set to {bytes} bytes by an operator");
            until_the_end("publishers are held below", bytes, "of free disk space", "disk_free_min_bytes")
        }
        Run::SetLogLevel { level } => {
            let directives = directives(&level)?;
            process(broker)?.set_log(directives).map_err(Failure::new)?;
            tracing::info!("log level set to {directives} by an operator");
            return Ok(());
        }
    };
    output.line(&Line::Note(note)).await;
    Ok(())
}

fn until_the_end(what: &str, bytes: u64, of_what: &str, key: &str) -> String {
    format!(
        "{what} {bytes} bytes {of_what}, until the broker ends; limits.{key} in its configuration is for longer"
    )
}

fn process(broker: &Broker) -> Result<&dyn Process, Failure> {
    broker.process.as_deref().ok_or_else(|| {
        Failure::new(
            "this broker runs inside of another program, which alone can end it and decides what is logged",
        )
    })
}

/// RabbitMQ's levels, ours, or what the configuration's `log` may be.
fn directives(level: &str) -> Result<&str, Failure> {
    match level {
        "none" => Ok("off"),
        "critical" => Ok("error"),
        "warning" => Ok("warn"),
        "error" | "warn" | "info" | "debug" | "trace" | "off" => Ok(level),
        // A single word would be taken for the name of a part that is to log everything.
        level if level.contains(['=', ',']) => Ok(level),
        level => Err(Failure::new(format!(
            "there is no level '{level}'; there are debug, info, warning, error and none, and directives such as \
             info,broker::auth=debug"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_rabbitmqs_or_ours() {
        let of = |level| directives(level).map_err(|failure| failure.reason);
        assert_eq!(of("warning"), Ok("warn"));
        assert_eq!(of("none"), Ok("off"));
        assert_eq!(of("trace"), Ok("trace"));
        assert_eq!(of("info,broker::auth=debug"), Ok("info,broker::auth=debug"));
        assert!(
            of("loud").is_err_and(|reason| reason.starts_with("there is no level 'loud'; there are debug"))
        );
    }
}
