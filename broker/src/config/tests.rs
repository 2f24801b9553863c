use std::io::Write;
use std::path::Path;

use clap::Parser;

use super::*;
use crate::auth::{OpenFor, SignUpMode};

fn env(pairs: &[(&str, &str)]) -> Env {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn flags(args: &[&str]) -> Flags {
    Cli::try_parse_from([&["broker"], args].concat()).unwrap().flags
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_file(text: &str, vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = file(text);
    Config::load(&flags(&["--config", file.path().to_str().unwrap()]), &env(vars))
}

/// The error without the name of the file, which changes.
fn file_error(text: &str) -> String {
    let file = file(text);
    let path = file.path().to_str().unwrap();
    let error = Config::load(&flags(&["--config", path]), &Env::new()).unwrap_err().to_string();
    error.replace(path, "FILE")
}

#[test]
fn without_any_source_there_are_the_defaults() {
    let config = Config::load(&Flags::default(), &Env::new()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.listen, ["127.0.0.1:5672".parse().unwrap()]);
    assert_eq!(config.auth.sign_up.mode, SignUpMode::Open);
    assert_eq!(config.auth.sign_up.open_for, OpenFor::Loopback);
}

#[test]
fn flags_go_over_environment_over_file_over_defaults() {
    let text = r#"
        listen = ["127.0.0.1:1"]
        data_dir = "/file"
        log = "warn"
        [limits]
        frame_max = 8192
        heartbeat_s = 5
    "#;
    let file = file(text);
    let path = file.path().to_str().unwrap();
    let vars = env(&[
        ("WARREN_LISTEN", "127.0.0.1:2, [::1]:2"),
        ("WARREN_DATA_DIR", "/env"),
        ("WARREN_LIMITS_HEARTBEAT_S", "6"),
    ]);
    let args = ["--config", path, "--listen", "127.0.0.1:3", "--listen", "127.0.0.1:4"];
    let config = Config::load(&flags(&args), &vars).unwrap();
    assert_eq!(config.listen, ["127.0.0.1:3", "127.0.0.1:4"].map(|a| a.parse().unwrap()));
    assert_eq!(config.data_dir, Path::new("/env"));
    assert_eq!(config.log, "warn");
    assert_eq!(config.limits.frame_max, 8192);
    assert_eq!(config.limits.heartbeat_s, 6);
    assert_eq!(config.limits.channel_max, 2047);

    let config = Config::load(&flags(&["--config", path]), &vars).unwrap();
    assert_eq!(config.listen, ["127.0.0.1:2", "[::1]:2"].map(|a| a.parse().unwrap()));
    let config =
        Config::load(&flags(&["--config", path, "--data-dir", "/flag", "--log", "debug"]), &vars).unwrap();
    assert_eq!((config.data_dir.as_path(), &*config.log), (Path::new("/flag"), "debug"));
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let named = file("log = 'warn'");
    let other = file("log = 'error'");
    let vars = env(&[("WARREN_CONFIG", named.path().to_str().unwrap())]);
    assert_eq!(Config::load(&Flags::default(), &vars).unwrap().log, "warn");
    let flags = flags(&["--config", other.path().to_str().unwrap()]);
    assert_eq!(Config::load(&flags, &vars).unwrap().log, "error");
}

#[test]
fn the_data_folder_follows_the_xdg_specification() {
    for (vars, expected) in [
        (vec![], "./warren/broker"),
        (vec![("HOME", "/home/a")], "/home/a/.local/share/warren/broker"),
        (vec![("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")], "/data/warren/broker"),
        (vec![("HOME", "/home/a"), ("XDG_DATA_HOME", "relative")], "/home/a/.local/share/warren/broker"),
        (vec![("HOME", "/home/a"), ("XDG_DATA_HOME", "")], "/home/a/.local/share/warren/broker"),
        (vec![("HOME", "/home/a"), ("WARREN_DATA_DIR", "here")], "here"),
        (vec![("HOME", "/home/a"), ("WARREN_DATA_DIR", "")], "/home/a/.local/share/warren/broker"),
    ] {
        let config = Config::load(&Flags::default(), &env(&vars)).unwrap();
        assert_eq!(config.data_dir, Path::new(expected), "{vars:?}");
        assert_eq!(load_file("log = 'warn'", &vars).unwrap().data_dir, Path::new(expected), "{vars:?}");
    }
}

#[test]
fn every_type_of_setting_can_come_from_the_environment() {
    let vars = env(&[
        ("WARREN_AUTH_SIGN_UP_MODE", "invite"),
        ("WARREN_AUTH_SIGN_UP_TOKENS", "one,two"),
        ("WARREN_AUTH_SIGN_UP_PROFILE_READ", "^a, b"),
        ("WARREN_AUTH_LOOPBACK_USERS", ","),
        ("WARREN_LIMITS_MESSAGE_BYTES_MAX", "1_000"),
    ]);
    let config = Config::load(&Flags::default(), &vars).unwrap();
    assert_eq!(config.auth.sign_up.mode, SignUpMode::Invite);
    assert_eq!(config.auth.sign_up.tokens, ["one", "two"]);
    assert_eq!(config.auth.sign_up.profile.read, "^a, b");
    assert!(config.auth.loopback_users.is_empty());
    assert_eq!(config.limits.message_bytes_max, 1000);
}

#[test]
fn a_wrong_variable_is_named_with_its_value() {
    for (name, value, expected) in [
        ("WARREN_LIMITS_FRAME_MAX", "big", "it has to be a whole number"),
        ("WARREN_LIMITS_HEARTBEAT_S", "70000", "expected u16"),
        ("WARREN_LIMITS_CONNECTIONS_MAX", "-1", "expected usize"),
        ("WARREN_AUTH_SIGN_UP_MODE", "opn", "expected one of `closed`, `invite`, `open`"),
        ("WARREN_LISTEN", "localhost", "'localhost' is no address to listen on"),
    ] {
        let error = Config::load(&Flags::default(), &env(&[(name, value)])).unwrap_err().to_string();
        let start = format!("the environment variable {name} is '{value}': ");
        assert!(error.starts_with(&start) && error.contains(expected), "{error}");
    }
}

#[test]
fn an_unknown_key_is_named_with_line_and_nearest_key() {
    for (text, line, key, nearest) in [
        ("log = 'info'\nframe_max = 8192\n", 2, "frame_max", "limits.frame_max"),
        ("[limits]\n\nfrmae_max = 8192\n", 3, "limits.frmae_max", "limits.frame_max"),
        ("[limit]\nframe_max = 8192\n", 1, "limit", "limits"),
        ("[auth.signup]\nmode = 'open'\n", 1, "auth.signup", "auth.sign_up"),
        ("limits.heartbeat = 5\n", 1, "limits.heartbeat", "limits.heartbeat_s"),
        ("datadir = '/x'\n", 1, "datadir", "data_dir"),
        ("auth = { sign_up = { mod = 'open' } }\n", 1, "auth.sign_up.mod", "auth.sign_up.mode"),
        ("zz = 1\naa = 1\n", 1, "zz", "log"),
    ] {
        assert_eq!(
            file_error(text),
            format!("FILE, line {line}: there is no setting '{key}'; did you mean '{nearest}'?")
        );
    }
}

#[test]
fn a_wrong_value_in_the_file_is_named_with_its_line() {
    for (text, line, expected) in [
        ("log = 'info'\n[limits]\nframe_max = 'big'\n", 3, "invalid type: string \"big\", expected u32"),
        ("[limits]\nheartbeat_s = 70000\n", 2, "expected u16"),
        ("limits = 5\n", 1, "expected struct Limits"),
        ("\nlisten = ['here']\n", 2, "'here' is no address to listen on"),
        ("[auth.sign_up]\nopen_for = 'us'\n", 2, "unknown variant `us`"),
        ("log = 'info'\nlog = 'warn'\n", 2, "duplicate key"),
        ("[limits\n", 1, "unclosed table"),
    ] {
        let error = file_error(text);
        assert!(error.starts_with(&format!("FILE, line {line}: ")) && error.contains(expected), "{error}");
    }
}

#[test]
fn a_missing_file_is_an_error() {
    let error = Config::load(&flags(&["--config", "/nonexistent/x.toml"]), &Env::new()).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot read the configuration file /nonexistent/x.toml: "),
        "{error}"
    );
}

#[test]
fn values_that_cannot_work_are_refused() {
    for (text, key) in [
        ("listen = []", "listen"),
        ("proxy_protocol = ['127.0.0.1:1']", "proxy_protocol"),
        ("listen_tls = ['127.0.0.1:1']", "tls.certificates"),
        ("listen_wss = ['127.0.0.1:1']", "tls.certificates"),
        ("[tls]\ncertificates = ['a.pem', 'b.pem']\nkeys = ['a.key']", "tls.keys"),
        ("[tls]\nclient_certificates = 'required'", "tls.client_ca"),
        ("[limits]\nhandshakes_max = 0", "limits.handshakes_max"),
        ("[websocket]\nmessage_bytes_max = 1000", "websocket.message_bytes_max"),
        ("data_dir = ''", "data_dir"),
        ("log = 'loud,=?'", "log"),
        ("[limits]\nframe_max = 4095", "limits.frame_max"),
        ("[limits]\nchannel_max = 0", "limits.channel_max"),
        ("[limits]\noutbox_bytes_max = 131071", "limits.outbox_bytes_max"),
        ("[store]\nsegment_bytes = 1000", "store.segment_bytes"),
        ("[auth.sign_up]\ntokens = ['sha256:abc']", "auth.sign_up.tokens"),
        ("[auth.sign_up.profile]\nread = '^('", "auth.sign_up.profile"),
    ] {
        let error = load_file(text, &[]).unwrap_err();
        let ConfigError::Invalid { key: found, .. } = &error else { panic!("{error}") };
        assert_eq!(*found, key, "{error}");
    }
}

#[test]
fn every_kind_of_listener_has_its_own_addresses() {
    let config = load_file(
        "listen = []\nlisten_ws = ['127.0.0.1:1', '127.0.0.1:2']\nproxy_protocol = ['127.0.0.1:2']",
        &[],
    );
    let listeners: Vec<_> = config.unwrap().listeners().collect();
    let listener = |port: u16, expects_proxy| Listener {
        protocol: Protocol::Ws,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        expects_proxy,
    };
    assert_eq!(listeners, [listener(1, false), listener(2, true)]);
}

#[test]
fn the_printed_configuration_is_the_default_one() {
    assert_eq!(load_file(DEFAULT_TOML, &[]).unwrap(), Config::default());
    // And so it is with every key uncommented.
    let is_setting =
        |line: &str| line.starts_with('#') && line[1..].starts_with(|c: char| c.is_ascii_lowercase());
    let active: String = DEFAULT_TOML
        .lines()
        .map(|line| format!("{}\n", if is_setting(line) { &line[1..] } else { line }))
        .collect();
    assert_eq!(load_file(&active, &[]).unwrap(), Config::default());
    let shown: toml::Table = toml::from_str(&active).unwrap();
    assert_eq!(shown, toml::Table::try_from(Config::default()).unwrap(), "a setting is missing");
}

#[test]
fn misspelt_variables_are_pointed_out_and_foreign_ones_are_not() {
    let vars = env(&[
        ("WARREN_LISTN", "x"),
        ("WARREN_LISTEN", "x"),
        ("WARREN_CONFIG", "x"),
        ("WARREN_USER", "alice"),
        ("WARREN_LIMITS_FRAME_MAXX", "1"),
        ("OTHER", "x"),
    ]);
    assert_eq!(
        misspelt_variables(&vars),
        [
            "the environment variable WARREN_LIMITS_FRAME_MAXX sets nothing; did you mean WARREN_LIMITS_FRAME_MAX?",
            "the environment variable WARREN_LISTN sets nothing; did you mean WARREN_LISTEN?",
        ]
    );
}

#[test]
fn the_command_line_is_sound_and_explains_itself() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
    let error = Cli::try_parse_from(["broker", "--listen", "localhost:5672"]).unwrap_err().to_string();
    assert!(error.contains("give an IP address and a port, such as 127.0.0.1:5672"), "{error}");
    assert!(flags(&["--print-default-config"]).print_default_config);
}

#[test]
fn the_memory_watermark_follows_the_machine_unless_set() {
    let limits = Limits::default();
    assert_eq!(limits.memory_high_watermark(), machine::memory_bytes() / 5 * 2);
    let limits = Limits { memory_bytes_high_watermark: 5, ..limits };
    assert_eq!(limits.memory_high_watermark(), 5);
}
