use crate::amqp::{Octets, Preview};

#[test]
fn octets_are_shown_as_erlang_shows_them() {
    assert_eq!(Octets(b"").to_string(), "<<>>");
    assert_eq!(Octets(b"abc").to_string(), "<<\"abc\">>");
    assert_eq!(Octets(b"say \"\\\"").to_string(), r#"<<"say \"\\\"">>"#);
    assert_eq!(Octets(&[0, 90, 255]).to_string(), "<<0,90,255>>");
    assert_eq!(Octets(&[0]).to_string(), "<<0>>");
}

#[test]
fn a_preview_says_whether_it_is_complete() {
    assert_eq!(Preview::new(b"").to_string(), "all octets = <<>>");
    assert_eq!(Preview::new(b"0123456789abcdef").to_string(), "all octets = <<\"0123456789abcdef\">>");
    assert_eq!(Preview::new(&[1; 17]).to_string(), "first 16 octets = <<1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1>>");
}
