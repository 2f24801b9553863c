//! The broker as a program: where it listens, how it ends, and that its folder has one owner.

use e2e::process::Process;
use e2e::{Binary, Broker, amqp};
use futures_lite::StreamExt;

#[test]
fn it_says_where_it_listens_when_the_kernel_chose_the_port() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let mut command = Binary::Broker.command();
    command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
    let mut broker = Process::spawn("broker", &mut command);
    let address = broker.await_stdout("line that says where it listens", |lines| {
        lines.iter().find_map(|line| line.strip_prefix("listening on amqp://")).map(str::to_owned)
    });
    amqp::run(async { amqp::connect(&format!("amqp://{address}")).await });
    assert!(broker.terminate().success());
}

#[test]
fn a_second_broker_on_the_same_folder_is_refused() {
    let broker = Broker::start();
    let mut second = Process::spawn("second broker", &mut broker.command_on_same_data());
    assert_eq!(second.wait().code(), Some(1));
    let said = second.stderr().join("\n");
    let folder = broker.data_dir();
    assert!(said.contains("in use") && said.contains(&*folder.to_string_lossy()), "{said}");
    assert!(second.stdout().is_empty(), "{:?}", second.stdout());
    // The first one does not mind.
    amqp::run(async { amqp::connect(&broker.guest_url()).await });
}

#[test]
fn a_port_that_is_taken_is_named() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let mut command = Binary::Broker.command();
    command.arg("--listen").arg(broker.address().to_string()).arg("--data-dir").arg(folder.path());
    let mut second = Process::spawn("second broker", &mut command);
    assert_eq!(second.wait().code(), Some(1));
    let said = second.stderr().join("\n");
    assert!(said.contains(&broker.address().to_string()), "{said}");
}

#[test]
fn sigterm_closes_connections_with_320_and_ends_well() {
    let mut broker = Broker::start();
    amqp::run(async {
        let connection = amqp::connect(&broker.guest_url()).await;
        let channel = amqp::channel(&connection).await;
        amqp::declare_durable(&channel, "q", Default::default()).await;
        let mut consumer = amqp::consume(&channel, "q").await;
        assert!(broker.terminate().success());
        let end = amqp::soon("the end of the consumer", async {
            while let Some(delivery) = consumer.next().await {
                if let Err(error) = delivery {
                    return error.to_string();
                }
            }
            String::new()
        })
        .await;
        assert!(end.contains("CONNECTION_FORCED") || end.contains("320"), "{end}");
    });
    broker.start_again();
    amqp::run(async { amqp::connect(&broker.guest_url()).await });
}

#[test]
fn wrong_settings_are_named() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let file = folder.path().join("broker.toml");
    for (text, named) in [
        ("[limits]\nframe_max = 7\n", "limits.frame_max"),
        ("[limits]\nframe_mx = 7\n", "frame_mx"),
        ("listen = [\"here\"]\n", "here"),
    ] {
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{error}"));
        let mut command = Binary::Broker.command();
        command.arg("--config").arg(&file).arg("--data-dir").arg(folder.path().join("data"));
        command.args(["--listen", "127.0.0.1:0"]);
        let mut broker = Process::spawn("broker", &mut command);
        assert_eq!(broker.wait().code(), Some(1), "{text}");
        let said = broker.stderr().join("\n");
        assert!(said.contains(named), "{text}{said}");
    }
}

#[test]
fn the_default_configuration_can_be_used_as_a_file() {
    let mut printing = Binary::Broker.command();
    let mut printing = Process::spawn("broker", printing.arg("--print-default-config"));
    assert!(printing.wait().success());
    let toml = printing.stdout().join("\n");
    assert!(toml.contains("[auth.sign_up]"), "{toml}");
    let _broker = Broker::configured(&e2e::BrokerConfig { toml, ..Default::default() });
}
