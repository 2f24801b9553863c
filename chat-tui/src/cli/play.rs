//! Commands that bring their own world: scripts and the demo.

use std::path::Path;

use shared::client::BrokerUri;

use super::Failure;
use super::output::{Line, Output};
use crate::script::{World, parse, run};
use crate::tui::Settings;

/// For accounts that a script makes at a broker, unless WARREN_PASSWORD says otherwise.
const SCRIPT_PASSWORD: &str = "a script's password";

/// Carries out the script in `file`, at `broker` or an embedded one.
pub async fn script(file: &Path, broker: Option<BrokerUri>, output: &Output) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read the script {}: {error}", file.display()))?;
    let statements = parse(&text).map_err(|error| format!("{}, {error}", file.display()))?;
    let world = match broker {
        None => World::Embedded,
        Some(uri) => {
            let given = std::env::var("WARREN_PASSWORD").ok();
            let exist = given.is_some();
            World::Broker { uri, password: given.unwrap_or_else(|| SCRIPT_PASSWORD.into()), exist }
        }
    };
    let mut say = |line: &str| tell(output, line);
    run(&statements, world, &mut say).await.map_err(|error| format!("{}, {error}", file.display()))
}

pub async fn demo(settings: Settings, output: &Output) -> Result<(), Failure> {
    crate::demo::run(settings, &mut |line| tell(output, line)).await.map_err(|error| error.to_string())
}

fn tell(output: &Output, line: &str) {
    // Nobody has to read along: the exit code says it all.
    let _ = output.print(&Line::Told(line));
}
