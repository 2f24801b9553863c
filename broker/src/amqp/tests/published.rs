//! The codec against the published specifications; `testdata/facts.py` says where they are from.

use crate::amqp::{
    FRAME_END, FRAME_MIN_SIZE, FrameKind, METHODS, Method, MethodInfo, Property, ReplyCode, Version,
};

const AMQP_0_9_1: &str = include_str!("../testdata/amqp0-9-1.txt");
const AMQP_0_8: &str = include_str!("../testdata/amqp0-8.txt");

/// RabbitMQ's, and those of 0-8 that 0-9-1 left out.
const EXTENSIONS: [&str; 13] = [
    "connection.blocked",
    "connection.unblocked",
    "connection.update-secret",
    "connection.update-secret-ok",
    "access.request",
    "access.request-ok",
    "exchange.bind",
    "exchange.bind-ok",
    "exchange.unbind",
    "exchange.unbind-ok",
    "basic.nack",
    "confirm.select",
    "confirm.select-ok",
];

struct Published<'a> {
    name: &'a str,
    ids: (u16, u16),
    is_synchronous: bool,
    has_content: bool,
    receivers: &'a str,
    /// Name and type.
    fields: Vec<(&'a str, &'a str)>,
}

/// The rest of the lines of one kind.
fn lines<'a>(facts: &'a str, kind: &'a str) -> impl Iterator<Item = &'a str> {
    facts.lines().filter_map(move |line| line.strip_prefix(kind)?.strip_prefix(' '))
}

fn methods(facts: &str) -> Vec<Published<'_>> {
    let method = |line| {
        let words: Vec<&str> = str::split(line, ' ').collect();
        let &[name, class, method, flags, receivers, ref fields @ ..] = &words[..] else { panic!("{line}") };
        Published {
            name,
            ids: (class.parse().unwrap(), method.parse().unwrap()),
            is_synchronous: flags.contains('s'),
            has_content: flags.contains('c'),
            receivers,
            fields: fields.iter().map(|field| field.split_once(':').unwrap()).collect(),
        }
    };
    lines(facts, "method").map(method).collect()
}

fn name(info: &MethodInfo) -> String {
    format!("{}.{}", info.class_name, info.name)
}

fn ours(name_wanted: &str) -> Option<&'static MethodInfo> {
    METHODS.iter().find(|info| name(info) == name_wanted)
}

#[test]
fn every_published_method_is_in_the_table() {
    let published = methods(AMQP_0_9_1);
    assert_eq!(published.len(), 53);
    for method in &published {
        let info = ours(method.name).unwrap_or_else(|| panic!("{} is missing", method.name));
        assert_eq!((info.class, info.method), method.ids, "{}", method.name);
        assert_eq!(info.has_content, method.has_content, "{}", method.name);
        let types =
            |fields: &[(&str, &str)]| fields.iter().map(|field| field.1.to_owned()).collect::<Vec<_>>();
        assert_eq!(types(info.fields), types(&method.fields), "{}", method.name);
        for ((our_name, _), (their_name, _)) in info.fields.iter().zip(&method.fields) {
            let same = match *our_name {
                "reserved" => their_name.starts_with("reserved"),
                "kind" => *their_name == "type",
                // RabbitMQ's, where 0-9-1 reserves two bits.
                "auto_delete" | "internal" if method.name == "exchange.declare" => true,
                our_name => our_name.replace('_', "-") == *their_name,
            };
            assert!(same, "{}: {our_name} is published as {their_name}", method.name);
        }
        // The specification calls the answers synchronous too, and does not call basic.recover so.
        if info.synchronous && method.name != "basic.recover" {
            assert!(method.is_synchronous, "{}", method.name);
        }
    }
    let unpublished = METHODS.iter().map(name).filter(|name| !published.iter().any(|m| m.name == name));
    assert_eq!(unpublished.collect::<Vec<_>>(), EXTENSIONS);
}

#[test]
fn constants_are_the_published_ones() {
    let mut reply_codes = Vec::new();
    for line in lines(AMQP_0_9_1, "constant") {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, value, class] = words[..] else { panic!("{line}") };
        let value: u32 = value.parse().unwrap();
        match name {
            "frame-method" => assert_eq!(FrameKind::Method as u32, value),
            "frame-header" => assert_eq!(FrameKind::Header as u32, value),
            "frame-body" => assert_eq!(FrameKind::Body as u32, value),
            "frame-heartbeat" => assert_eq!(FrameKind::Heartbeat as u32, value),
            "frame-min-size" => assert_eq!(FRAME_MIN_SIZE, value),
            "frame-end" => assert_eq!(u32::from(FRAME_END), value),
            _ => {
                let reply = ReplyCode::from_code(value as u16).unwrap_or_else(|| panic!("{name} is missing"));
                assert_eq!(reply.name(), name.to_uppercase().replace('-', "_"));
                assert_eq!(reply.is_hard(), class == "hard-error", "{name}");
                reply_codes.push(reply);
            }
        }
    }
    // In the text of the specification only: what basic.return says of an unroutable message.
    let unpublished = ReplyCode::ALL.into_iter().filter(|reply| !reply_codes.contains(reply));
    assert_eq!(unpublished.collect::<Vec<_>>(), [ReplyCode::NoRoute]);
}

#[test]
fn properties_are_the_published_ones() {
    for facts in [AMQP_0_9_1, AMQP_0_8] {
        let published: Vec<&str> =
            lines(facts, "property").map(|line| line.split_once(':').unwrap().0).collect();
        let ours: Vec<String> =
            Property::ALL.iter().map(|property| kebab(&format!("{property:?}"))).collect();
        assert_eq!(ours.len(), published.len());
        for (ours, published) in ours.iter().zip(published) {
            let other_name = match published {
                "type" => "kind",
                // 0-8's name; nobody uses it for anything else.
                "reserved" => "cluster-id",
                name => name,
            };
            assert_eq!(ours, other_name);
        }
    }
}

/// `content-type` for `ContentType`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// Ids and arguments that are all zero or empty.
fn zero_payload(method: &Published<'_>) -> Vec<u8> {
    let (class, id) = method.ids;
    let mut out = [class, id].map(u16::to_be_bytes).concat();
    let mut bits = 0;
    for (_, kind) in &method.fields {
        bits = if *kind == "bit" { bits + 1 } else { 0 };
        let octets = match *kind {
            "bit" => usize::from(bits % 8 == 1),
            "octet" | "shortstr" => 1,
            "short" => 2,
            "long" | "longstr" | "table" => 4,
            "longlong" | "timestamp" => 8,
            kind => panic!("{}: {kind}", method.name),
        };
        out.resize(out.len() + octets, 0);
    }
    out
}

#[test]
fn the_methods_of_0_8_are_understood_and_spoken() {
    let spoken = ["connection", "channel", "access", "exchange", "queue", "basic", "tx"];
    // Sent by servers that redirect and alert, which this one does not.
    let never_sent = ["connection.redirect", "channel.alert"];
    let mut count = 0;
    for method in methods(AMQP_0_8) {
        let class = method.name.split('.').next().unwrap();
        if !spoken.contains(&class) || never_sent.contains(&method.name) {
            continue;
        }
        count += 1;
        let payload = zero_payload(&method);
        let our_name = if method.name == "basic.recover" { "basic.recover-async" } else { method.name };
        if method.receivers.contains("server") {
            let decoded = Version::V0_8.decode(&payload);
            assert_eq!(decoded.as_ref().map(Method::name), Ok(our_name), "{}", method.name);
        }
        if method.receivers.contains("client") {
            let info = ours(our_name).unwrap();
            let of_0_9_1 = Published {
                name: method.name,
                ids: (info.class, info.method),
                fields: info.fields.to_vec(),
                ..method
            };
            let decoded = Method::decode(&zero_payload(&of_0_9_1)).unwrap();
            let mut frame = Vec::new();
            Version::V0_8.write_method(&mut frame, 1, &decoded);
            assert_eq!(frame[7..frame.len() - 1], payload, "{}", method.name);
        }
    }
    assert_eq!(count, 51);
}
