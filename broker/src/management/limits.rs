//! Limits as operators write them: `{"max-connections": 5}`. Pure.

use serde_json::{Map, Value, json};

use super::reply::Failure;

pub const OF_VHOST: [&str; 2] = ["max-connections", "max-queues"];
pub const OF_USER: [&str; 2] = ["max-connections", "max-channels"];

/// The values by the order of `known`: not mentioned, or set; a negative number is no limit, as in RabbitMQ.
pub fn parse(text: &str, known: [&str; 2]) -> Result<[Option<Option<u64>>; 2], Failure> {
    let example = format!("a JSON object such as {{\"{}\": 10}}", known[0]);
    let object: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| Failure::new(format!("the limits '{text}' are not {example}: {error}")))?;
    if object.is_empty() {
        return Err(Failure::new(format!("no limit is given; give {example}, or clear the limits")));
    }
    let mut values = [None, None];
    for (name, value) in &object {
        let Some(at) = known.iter().position(|known| known == name) else {
            let known = known.join(" and ");
            return Err(Failure::new(format!("there is no limit '{name}'; there are {known}")));
        };
        let Some(number) = value.as_i64() else {
            return Err(Failure::new(format!("the limit '{name}' has to be a whole number, not {value}")));
        };
        values[at] = Some(u64::try_from(number).ok());
    }
    Ok(values)
}

pub fn show(names: [&str; 2], values: [Option<u64>; 2]) -> Value {
    let set = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), json!(value?))));
    Value::Object(set.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_numbers() {
        let of_vhost = |text| parse(text, OF_VHOST).map_err(|failure| failure.reason);
        assert_eq!(of_vhost(r#"{"max-queues": 0}"#), Ok([None, Some(Some(0))]));
        assert_eq!(of_vhost(r#"{"max-queues": 7, "max-connections": -1}"#), Ok([Some(None), Some(Some(7))]));
        for (text, why) in [
            ("5", "are not a JSON object such as {\"max-connections\": 10}"),
            ("{}", "no limit is given"),
            (r#"{"max-channels": 5}"#, "no limit 'max-channels'; there are max-connections and max-queues"),
            (r#"{"max-queues": "5"}"#, "'max-queues' has to be a whole number, not \"5\""),
            (r#"{"max-queues": 1.5}"#, "not 1.5"),
        ] {
            let error = of_vhost(text).expect_err(text);
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(show(OF_USER, [None, Some(3)]), json!({"max-channels": 3}));
    }
}
