//! From the first byte to connection.open-ok.

use crate::harness::*;

#[test]
fn a_connection_opens_and_closes() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "hello");
    assert_eq!(client.fetch(1, "q").text(), "hello");
    client.close_channel(1);
    client.close();
}
