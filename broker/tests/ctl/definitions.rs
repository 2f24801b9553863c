//! All definitions as a file: out of one broker and into another.

use broker::amqp::{FieldValue, exchange, queue};
use serde_json::{Value, json};

use crate::harness::*;
use crate::http::ask;
use crate::process::{Broker, Ran, refuses_to_start};

/// What RabbitMQ 3.10.8 exported, line breaks added; the password of alice is `secret`.
const OF_RABBITMQ: &str = include_str!("rabbitmq-3.10.8-definitions.json");

fn alice() -> Login<'static> {
    Login { user: "alice", password: "secret", vhost: "/shop", ..Login::default() }
}

/// A broker with some of everything.
fn furnished() -> Broker {
    let broker = Broker::start();
    broker.ok(&["add_user", "alice", "secret"]);
    broker.ok(&["set_user_tags", "alice", "monitoring", "impersonator"]);
    broker.ok(&["set_user_limits", "alice", r#"{"max-connections": 7, "max-channels": 9}"#]);
    broker.ok(&["add_user", "carol", "x"]);
    broker.ok(&["clear_password", "carol"]);
    broker.ok(&[
        "add_vhost",
        "/shop",
        "--description",
        "sells",
        "--tags",
        "a,b",
        "--default-queue-type",
        "quorum",
    ]);
    broker.ok(&["-p", "/shop", "set_permissions", "alice", ".*", ".*", ".*", "--publish-keys", "^k"]);
    broker.ok(&["-p", "/shop", "set_topic_permissions", "alice", "amq.topic", "^{username}", ".*"]);
    broker.ok(&["-p", "/shop", "set_vhost_limits", r#"{"max-queues": 100}"#]);
    broker.ok(&[
        "set_policy",
        "short",
        "^tmp",
        r#"{"max-length": 10}"#,
        "--priority",
        "3",
        "--apply-to",
        "queues",
    ]);
    broker.ok(&["set_operator_policy", "bound", "^tmp", r#"{"max-length": 5}"#]);
    let mut client = broker.connect_as(&alice());
    client.call(1, declare_durable("orders"), declare_ok("orders", 0, 0));
    client.call(1, declare_owned("own"), declare_ok("own", 0, 0));
    let mut client = broker.connect();
    let arguments = [("x-max-length", 9.into()), ("x-dead-letter-exchange", "dead".into())];
    let limited = queue::Declare { durable: true, ..declare_with("limited", arguments) };
    client.call(1, limited, declare_ok("limited", 0, 0));
    client.call(1, declare("transient"), declare_ok("transient", 0, 0));
    let exclusive = queue::Declare { exclusive: true, ..declare("of this connection") };
    client.call(1, exclusive, declare_ok("of this connection", 0, 0));
    let arguments = [("alternate-exchange", "amq.fanout")].into();
    let events = exchange::Declare { durable: true, arguments, ..declare_exchange("events", "topic") };
    client.call(1, events, exchange::DeclareOk {});
    let inner =
        exchange::Declare { internal: true, auto_delete: true, ..declare_exchange("inner", "headers") };
    client.call(1, inner, exchange::DeclareOk {});
    let arguments = [("x-delayed-type", "direct")].into();
    let later =
        exchange::Declare { durable: true, arguments, ..declare_exchange("later", "x-delayed-message") };
    client.call(1, later, exchange::DeclareOk {});
    client.call(1, bind_exchange("inner", "events", "a.#"), exchange::BindOk {});
    let arguments: [(&str, FieldValue); 3] =
        [("x-match", "any".into()), ("n", 5.into()), ("flag", true.into())];
    let arguments = arguments.into();
    client.call(1, queue::Bind { arguments, ..bind("limited", "inner", "") }, queue::BindOk {});
    client.call(1, bind("of this connection", "amq.direct", "k"), queue::BindOk {});
    broker
}

fn export(broker: &Broker) -> String {
    broker.ok(&["-q", "export_definitions", "-"])
}

fn import(broker: &Broker, text: &str) -> Ran {
    broker.ctl_with_input(&["import_definitions"], text)
}

#[test]
fn what_is_exported_is_the_same_where_it_is_imported() {
    let furnished = furnished();
    let exported = export(&furnished);
    assert!(
        exported.contains(r#""owner_user":"alice""#) && exported.contains(r#""name":"inner""#),
        "{exported}"
    );
    assert!(!exported.contains("of this connection") && !exported.contains("amq.delayed"), "{exported}");
    let mut other = Broker::start();
    for _ in 0..2 {
        let ran = import(&other, &exported);
        assert_eq!((ran.code, &*ran.err), (0, "Importing definitions in JSON from standard input ...\n"));
        assert_eq!(export(&other), exported);
    }
    // Of what is not durable, only the definition is.
    other.kill9_and_start_again();
    let survived = export(&other);
    for name in ["alice", "own", "limited", "events", "later", "short", "bound", "^{username}", "sells"] {
        assert!(survived.contains(name), "{name}");
    }
    other.connect_as(&alice()).call(1, declare_owned("own"), declare_ok("own", 0, 0));
    let mut client = other.connect();
    client.publish(1, "later", "k", "x");
    client.refused(1, declare_owned("limited"), 405, "RESOURCE_LOCKED - cannot obtain exclusive access");
}

#[test]
fn a_binding_is_not_doubled_by_the_type_of_a_number() {
    let broker = furnished();
    let bindings = broker.rows(&["list_bindings"]);
    assert_eq!(import(&broker, &export(&broker)).code, 0);
    assert_eq!(broker.rows(&["list_bindings"]), bindings);
}

#[test]
fn a_file_goes_where_it_was_asked_for_and_to_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let (broker, folder) = (furnished(), tempfile::tempdir().unwrap());
    let file = folder.path().join("definitions.json");
    let path = file.to_str().unwrap();
    let ran = broker.ctl(&["export_definitions", path]);
    assert_eq!((ran.code, &*ran.out), (0, ""));
    assert!(
        ran.err.starts_with(&format!("Exporting definitions in JSON to a file at \"{path}\" ...\n")),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("passwords of alice, guest are argon2id hashes, which only this broker can check")
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), export(&broker));
    broker.ok(&["import_definitions", path]);
    // What others could read is replaced, where a link leads to it.
    let (old, link) = (folder.path().join("old.json"), folder.path().join("link.json"));
    std::fs::write(&old, "what was there").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&old, &link).unwrap();
    // In the way of the new one.
    let in_the_way = folder.path().join("old.json.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let refused = broker.refused(&["export_definitions", link.to_str().unwrap()]);
    assert!(refused.contains(&format!("cannot write {}", link.display())), "{refused}");
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "what was there");
    std::fs::remove_dir(&in_the_way).unwrap();
    broker.ok(&["export_definitions", link.to_str().unwrap()]);
    assert!(link.is_symlink() && !in_the_way.exists());
    assert_eq!(std::fs::metadata(&old).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&old).unwrap(), export(&broker));
    let missing = broker.refused(&["import_definitions", "/nowhere/x.json"]);
    assert!(missing.contains("cannot read /nowhere/x.json: No such file"), "{missing}");
    assert!(
        broker.refused(&["export_definitions", "/nowhere/x.json"]).contains("cannot write /nowhere/x.json")
    );
    for command in ["export_definitions", "import_definitions"] {
        let ran = broker.ctl(&[command, path, "--format", "erlang"]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains("the broker runs no Erlang; files are in JSON"), "{ran:?}");
    }
}

#[test]
fn a_file_of_rabbitmq_is_imported_with_its_passwords() {
    let mut broker = Broker::start();
    let ran = import(&broker, OF_RABBITMQ);
    assert_eq!(ran.code, 0, "{ran:?}");
    for said in [
        "global_parameters[0] ('foo'): left out: nothing here reads global parameters",
        "policies[0] ('short'): ha-mode changes nothing here: there is one broker",
        "bindings[3] ('e1', 'e2'): left out, for there is no exchange 'e2' in vhost '/'",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert_eq!(ran.err.lines().count(), 4, "{}", ran.err);
    assert_eq!(broker.rows(&["list_users"]), ["alice\t[monitoring, policymaker]", "guest\t[administrator]"]);
    assert_eq!(broker.rows(&["list_user_permissions", "alice"]), ["/shop\t^a\t.*\t.*\t"]);
    assert_eq!(
        broker.rows(&["-p", "/shop", "list_topic_permissions"]),
        ["alice\tamq.topic\t^{username}\t.*"]
    );
    assert_eq!(broker.rows(&["-p", "/shop", "list_vhost_limits"]), [r#"/shop	{"max-queues":100}"#]);
    assert_eq!(broker.rows(&["list_user_limits"]), [r#"alice	{"max-connections":7}"#]);
    assert_eq!(broker.rows(&["list_operator_policies", "name", "definition"]), [r#"op	{"max-length":5}"#]);
    let queues = ["ad\tclassic", "q1\tclassic", "qq\tquorum", "transient\tclassic"];
    assert_eq!(broker.rows(&["list_queues", "name", "type"]), queues);
    let mut client = broker.connect();
    let arguments = [("x-max-length", 9.into()), ("x-message-ttl", 60_000.into())];
    let same = queue::Declare { durable: true, ..declare_with("q1", arguments) };
    client.call(1, same, declare_ok("q1", 0, 0));

    let of_alice = |broker: &Broker| {
        let exported: Value = serde_json::from_str(&export(broker)).unwrap();
        exported["users"][0].clone()
    };
    assert_eq!(of_alice(&broker)["password_hash"], "y/bt/tiUa7qdBlkXhTry1EKZwd+M8Wbdy/IuOca61MHGdUrY");
    let mut refused = Client::dial(broker.address());
    assert!(!refused.try_log_in(&Login { password: "Secret", ..alice() }));
    broker.connect_as(&alice());
    // The first login replaced the hash by a slow one.
    assert_eq!(of_alice(&broker)["password_hash"], "");
    assert!(of_alice(&broker)["warren_password_hash"].as_str().unwrap().starts_with("$argon2id$"));
    broker.connect_as(&alice());
    broker.kill9_and_start_again();
    broker.connect_as(&alice());
}

#[test]
fn a_file_with_a_mistake_changes_nothing_and_names_it() {
    let broker = Broker::start();
    let before = export(&broker);
    let queue = |change: Value| {
        let mut queue =
            json!({"vhost": "/", "name": "q", "durable": true, "auto_delete": false, "arguments": {}});
        queue.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"users": [{"name": "new", "tags": []}], "queues": [queue]})
    };
    for (file, wrong) in [
        (
            queue(json!({"durable": "yes"})),
            r#"queues[0] ('q'): "durable" has to be true or false, not "yes""#,
        ),
        (queue(json!({"durable": null})), r#"queues[0] ('q'): "durable" is missing"#),
        (queue(json!({"vhost": "/no"})), "queues[0] ('q'): there is no vhost '/no', here or in the file"),
        (queue(json!({"arguments": {"x-max-length": -1}})), "queues[0] ('q'): invalid arg 'x-max-length'"),
        (queue(json!({"type": "stream"})), "queues[0] ('q'): invalid arg 'x-queue-type'"),
        (queue(json!({"type": "quorum", "durable": false})), "invalid property 'non-durable' for queue 'q'"),
        (queue(json!({"name": "amq.delayed-x"})), "queues of the broker's own are called so"),
        (queue(json!({"owner_user": "nobody"})), "there is no user 'nobody', here or in the file"),
        (json!({"queues": [7]}), "queues[0] has to be an object, not 7"),
        (json!({"queues": {}}), "\"queues\" has to be a list, not {}"),
        (
            json!({"users": [{"name": "u", "tags": [], "password_hash": "x"}]}),
            "users[0] ('u'): the password hash is",
        ),
        (
            json!({"users": [{"name": "u", "hashing_algorithm": "rabbit_password_hashing_md5", "password_hash": "eA=="}]}),
            "users[0] ('u'): the hashing algorithm 'rabbit_password_hashing_md5' is not known",
        ),
        (
            json!({"permissions": [{"user": "guest", "vhost": "/", "configure": "(", "write": "", "read": ""}]}),
            "permissions[0] ('guest', '/'): the pattern '(' is not a regular expression",
        ),
        (
            json!({"permissions": [{"user": "bob", "vhost": "/", "configure": "", "write": "", "read": ""}]}),
            "permissions[0] ('bob', '/'): there is no user 'bob', here or in the file",
        ),
        (
            json!({"policies": [{"vhost": "/", "name": "p", "pattern": "", "definition": {"max-lenght": 1}}]}),
            "policies[0] ('p'): unknown key 'max-lenght'; there are ",
        ),
        (
            json!({"exchanges": [{"vhost": "/", "name": "amq.x", "type": "direct", "durable": true, "auto_delete": false}]}),
            "exchanges[0] ('amq.x'): exchange name 'amq.x' contains reserved prefix",
        ),
        (
            json!({"exchanges": [{"vhost": "/", "name": "x", "type": "odd", "durable": true, "auto_delete": false}]}),
            "exchanges[0] ('x'): unknown exchange type 'odd'",
        ),
        (
            json!({"bindings": [{"vhost": "/", "source": "amq.headers", "destination": "amq.topic",
                "destination_type": "exchange", "routing_key": "", "arguments": {"x-match": "some"}}]}),
            "bindings[0] ('amq.headers', 'amq.topic'): Invalid x-match field value",
        ),
        (
            json!({"vhosts": [{"name": "v", "limits": {"max-queues": 1}}], "queues": [
                {"vhost": "v", "name": "a", "durable": true, "auto_delete": false},
                {"vhost": "v", "name": "b", "durable": true, "auto_delete": false}]}),
            "queues: 2 new ones beside 0 are more than the queue limit of vhost 'v', which is 1",
        ),
    ] {
        let ran = import(&broker, &file.to_string());
        assert_eq!(ran.code, 1, "{file}: {ran:?}");
        assert!(
            ran.err.contains("nothing was imported. ") && ran.err.contains(wrong),
            "{wrong}: {}",
            ran.err
        );
        assert_eq!(export(&broker), before, "{file}");
    }
    let ran = import(&broker, "{\n\"queues\": [\n}");
    assert!(
        ran.err.contains("not a JSON object of definitions: expected value at line 3 column 1"),
        "{ran:?}"
    );
}

#[test]
fn a_file_for_which_there_is_no_room_changes_nothing() {
    let broker = Broker::start_in_shell(
        "export WARREN_LIMITS_OWNED_QUEUES_PER_USER_MAX=1 WARREN_LIMITS_BINDINGS_PER_VHOST_MAX=1 \
         WARREN_LIMITS_EXCHANGES_PER_VHOST_MAX=10",
    );
    let before = export(&broker);
    let queue = |vhost, name| json!({"vhost": vhost, "name": name, "durable": true, "auto_delete": false});
    let own = |name| {
        json!({"vhost": "/", "name": name, "durable": true, "auto_delete": false, "owner_user": "guest",
            "arguments": {"x-exclusive-scope": "user"}})
    };
    let exchange = |vhost, name| {
        json!({"vhost": vhost, "name": name, "type": "x-delayed-message", "durable": true, "auto_delete": false,
            "arguments": {"x-delayed-type": "direct"}})
    };
    let binding = |key| {
        json!({"vhost": "/", "source": "amq.direct", "destination": "q", "destination_type": "queue",
            "routing_key": key})
    };
    let vhost = json!([{"name": "v", "limits": {"max-queues": 2}}]);
    for (file, wrong) in [
        (
            json!({"queues": [own("a"), own("b")]}),
            "queues: 2 new ones of user 'guest' beside 0 are more than the owned queue limit of vhost '/', which is 1",
        ),
        (
            json!({"queues": [queue("/", "q")], "bindings": [binding("a"), binding("b")]}),
            "bindings: 2 new ones beside 0 are more than the binding limit of vhost '/', which is 1",
        ),
        (
            json!({"vhosts": vhost, "exchanges": [exchange("v", "a"), exchange("v", "b"), exchange("v", "c")]}),
            "exchanges: 3 new ones beside 8 are more than the exchange limit of vhost 'v', which is 10",
        ),
        (
            json!({"vhosts": vhost, "exchanges": [exchange("v", "x")], "queues": [queue("v", "a"), queue("v", "b")]}),
            "queues: 3 new ones beside 0 are more than the queue limit of vhost 'v', which is 2",
        ),
    ] {
        let ran = import(&broker, &file.to_string());
        assert_eq!(ran.code, 1, "{file}: {ran:?}");
        assert!(
            ran.err.contains("nothing was imported. ") && ran.err.contains(wrong),
            "{wrong}: {}",
            ran.err
        );
        assert_eq!(export(&broker), before, "{file}");
    }
    // What is there already, or twice in the file, needs no room.
    let full = json!({"queues": [own("a"), own("a"), queue("/", "q")], "bindings": [binding("a"), binding("a")],
        "vhosts": vhost, "exchanges": [exchange("v", "x"), exchange("v", "y")]});
    for _ in 0..2 {
        let ran = import(&broker, &full.to_string());
        assert_eq!((ran.code, &*ran.err), (0, "Importing definitions in JSON from standard input ...\n"));
    }
}

#[test]
fn what_is_not_known_is_said_and_what_is_there_stays() {
    let broker = Broker::start();
    broker.connect().call(1, declare_durable("q"), declare_ok("q", 0, 0));
    let file = json!({"queues": [{"vhost": "/", "name": "q", "durable": false, "auto_delete": false, "colour": "red"}],
        "users": [{"name": "plain", "password": "word", "tags": "a,b"}], "shovels": []});
    let ran = import(&broker, &file.to_string());
    assert_eq!(ran.code, 0, "{ran:?}");
    for said in [
        "\"shovels\" is not known here, and is left out",
        "queues[0] ('q'): left out what is not known here: \"colour\"",
        "queues[0] ('q'): what is there already stays as it is: inequivalent arg 'durable'",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    broker.ok(&["authenticate_user", "plain", "word"]);
    assert_eq!(broker.rows(&["list_queues", "durable"]), ["true"]);
    assert_eq!(broker.rows(&["list_users"])[1], "plain\t[a, b]");
}

#[test]
fn a_file_is_loaded_at_the_start_and_no_guest_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("definitions.json");
    let definitions = json!({
        "vhosts": [{"name": "/shop"}], "users": [{"name": "alice", "password": "secret", "tags": []}],
        "permissions": [{"user": "alice", "vhost": "/shop", "configure": "", "write": "", "read": ".*"}],
        "queues": [{"vhost": "/shop", "name": "orders", "durable": true, "auto_delete": false}],
    });
    std::fs::write(&file, definitions.to_string()).unwrap();
    let broker = Broker::start_in_shell(&format!("export WARREN_LOAD_DEFINITIONS='{}'", file.display()));
    assert_eq!(broker.rows(&["list_users", "user"]), ["alice"]);
    assert_eq!(broker.rows(&["list_vhosts"]), ["/shop"]);
    broker.connect_as(&alice()).call(1, declare_passive("orders"), declare_ok("orders", 0, 0));

    std::fs::write(&file, r#"{"users": [{"tags": []}]}"#).unwrap();
    let refused = refuses_to_start(folder.path(), &[("WARREN_LOAD_DEFINITIONS", file.to_str().unwrap())]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let said = format!("cannot load the definitions in {} (load_definitions)", file.display());
    assert!(
        refused.err.contains(&said) && refused.err.contains("users[0]: \"name\" is missing"),
        "{refused:?}"
    );
    let refused = refuses_to_start(folder.path(), &[("WARREN_LOAD_DEFINITIONS", "/nowhere/x.json")]);
    assert!(
        refused.err.contains("cannot read the definitions in /nowhere/x.json (load_definitions)"),
        "{refused:?}"
    );
}

#[test]
fn administrators_get_the_same_over_http() {
    let (broker, http) = Broker::with_management();
    broker.ok(&["add_user", "looker", "on"]);
    broker.ok(&["set_user_tags", "looker", "monitoring"]);
    // `guest:guest`, `looker:on`
    let answer = ask(http, "GET /api/definitions", "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n");
    assert_eq!((answer.status, answer.body), (200, export(&broker)));
    let refused = ask(http, "GET /api/definitions", "Authorization: Basic bG9va2VyOm9u\r\n");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("administrator"), "{}", refused.body);
}
