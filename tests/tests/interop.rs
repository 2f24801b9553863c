//! The broker as foreign clients see it, each with its own library from PyPI, npm, crates.io or Debian.
//!
//! The scenarios are in `interop/`, a folder for each client; `interop/run` runs them, also against RabbitMQ.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e::Binary;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// Runs a client's scenarios against a broker of their own.
fn is_at_home(client: &str) {
    let mut run = Command::new(folder().join("run"));
    run.arg(client).arg("--broker").arg(Binary::Broker.path()).stdin(Stdio::null());
    run.env("INTEROP_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop"));
    let ran = run.output().unwrap_or_else(|error| panic!("cannot run {run:?} (it needs Python 3): {error}"));
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{client} is not at home:\n{said}\n{complained}");
}

macro_rules! clients {
    ($($test:ident: $client:literal,)*) => {
        $(
            #[test]
            fn $test() {
                is_at_home($client);
            }
        )*

        const CLIENTS: &[&str] = &[$($client),*];
    };
}

clients! {
    aio_pika: "aio-pika",
    amqp_tools: "amqp-tools",
    amqplib: "amqplib",
    bunny: "bunny",
    celery: "celery",
    cloudamqp: "cloudamqp",
    java: "java",
    kombu: "kombu",
    lapin: "lapin",
    node_amqplib: "node-amqplib",
    php_amqplib: "php-amqplib",
    pika: "pika",
    py_amqp: "py-amqp",
    ruby_amqp: "ruby-amqp",
}

#[test]
fn every_client_is_run() {
    let entries = fs::read_dir(folder()).unwrap_or_else(|error| panic!("{error}"));
    for client in entries.flatten().filter(|entry| entry.path().join("scenarios").exists()) {
        let name = client.file_name().into_string().unwrap_or_default();
        assert!(CLIENTS.contains(&name.as_str()), "the scenarios of {name} are not run");
    }
}

#[test]
fn the_readme_says_what_each_client_exercises() {
    let ran = Command::new(folder().join("run")).arg("--table").stdin(Stdio::null()).output();
    let ran = ran.unwrap_or_else(|error| panic!("cannot run it (it needs Python 3): {error}"));
    let table = String::from_utf8_lossy(&ran.stdout);
    assert!(table.starts_with("| client |"), "{}", String::from_utf8_lossy(&ran.stderr));
    let readme = fs::read_to_string(folder().join("README.md")).unwrap_or_else(|error| panic!("{error}"));
    assert!(
        readme.ends_with(&*table),
        "tests/interop/README.md should end with what `run --table` prints:\n{table}"
    );
}
