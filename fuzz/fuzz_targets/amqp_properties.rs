//! Content properties: whatever parses can be looked at, and copied into something that parses.
#![no_main]

use broker::amqp::{Properties, Property};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(properties) = Properties::parse(input) else { return };
    let present = Property::ALL.into_iter().filter(|&property| properties.has(property));
    for property in present {
        assert!(properties.octets(property).is_some());
    }
    let headers = properties.headers();
    let _ = (properties.delivery_mode(), properties.priority(), properties.timestamp());
    let mut written = Vec::new();
    properties.to_owned().encode(&mut written);
    Properties::parse(&written).expect("what we write can be read");
    if let Some(headers) = headers {
        let mut with_headers = Vec::new();
        properties.encode_with_headers(&headers, false, &mut with_headers);
        let parsed = Properties::parse(&with_headers).expect("what we write can be read");
        assert!(!parsed.has(Property::Expiration));
        // Empty ones, too, are sent on as they came.
        assert!(parsed.has(Property::Headers));
    }
});
