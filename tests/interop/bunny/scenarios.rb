# bunny, the Ruby client.

require "bunny"
require "timeout"
require "tap"

class Scenario < Minitest::Test
  def setup
    @opened = []
    @connection = connect
    @channel = @connection.create_channel
  end

  def teardown
    @opened.each { |connection| connection.close if connection.open? }
  end

  def connect(url = ENV.fetch("AMQP_URL"), **options)
    connection = Bunny.new(url, log_level: Logger::FATAL, continuation_timeout: 20_000, **options)
    @opened << connection
    connection.start
  end

  def queue(**options)
    @channel.queue("", exclusive: true, **options)
  end

  def exchange(kind)
    @channel.public_send(kind, "bunny.#{kind}.#{rand(1 << 64)}", auto_delete: true)
  end

  # The payloads of everything that is ready.
  def payloads(queue)
    found = []
    while (payload = queue.pop[2])
      found << payload
    end
    found
  end

  # Waits for the next thing that another thread puts there.
  def take(things)
    Timeout.timeout(20) { things.pop }
  end

  def assert_closes(error, text)
    raised = assert_raises(error) { yield @connection.create_channel }
    assert_includes raised.message, text
  end
end

class Basics < Scenario
  def test_connect_and_learn_who_the_server_is
    assert @connection.open?
    assert_equal true, @connection.server_capabilities["publisher_confirms"]
  end

  def test_connect_with_a_wrong_password_is_refused
    assert_raises(Bunny::AuthenticationFailureError) { connect("amqp://guest:wrong@#{ENV['AMQP_HOST']}:#{ENV['AMQP_PORT']}") }
  end

  def test_connect_to_an_unknown_vhost_is_refused
    assert_raises(Bunny::NotAllowedError) { connect(vhost: "nosuch") }
  end

  def test_declare_and_ask_what_is_there
    @channel.confirm_select
    queue = queue()
    assert queue.name.start_with?("amq.gen-")
    queue.publish("1")
    @channel.wait_for_confirms
    assert_equal({ message_count: 1, consumer_count: 0 }, queue.status)
    assert @connection.queue_exists?(queue.name)
    refute @connection.queue_exists?("nosuch")
    assert @connection.exchange_exists?("amq.topic")
    queue.purge
    assert_equal 0, queue.message_count
    queue.delete
  end

  def test_get_with_every_property
    queue = queue()
    queue.publish("body", content_type: "text/plain", headers: { "n" => 1, "list" => [1, "a"], "yes" => true }, priority: 3,
                  correlation_id: "c", reply_to: "r", expiration: "60000", message_id: "m", timestamp: 1_700_000_000,
                  type: "t", user_id: "guest", app_id: "a", persistent: true)
    _, properties, payload = queue.pop
    assert_equal "body", payload
    assert_equal({ "n" => 1, "list" => [1, "a"], "yes" => true }, properties.headers)
    assert_equal ["text/plain", 3, "c", "r", "60000", "m", Time.at(1_700_000_000), "t", "guest", "a", 2],
                 properties.to_hash.values_at(:content_type, :priority, :correlation_id, :reply_to, :expiration,
                                              :message_id, :timestamp, :type, :user_id, :app_id, :delivery_mode)
    assert_equal [nil, nil, nil], queue.pop
  end
end

class Exchanges < Scenario
  def test_direct_goes_by_the_key
    exchange, first, second = exchange(:direct), queue, queue
    first.bind(exchange, routing_key: "red")
    second.bind(exchange, routing_key: "blue")
    exchange.publish("r", routing_key: "red").publish("nobody", routing_key: "green")
    assert_equal [["r"], []], [payloads(first), payloads(second)]
  end

  def test_fanout_goes_to_all
    exchange, first, second = exchange(:fanout), queue, queue
    [first, second].each { |queue| queue.bind(exchange) }
    exchange.publish("all")
    assert_equal [["all"], ["all"]], [payloads(first), payloads(second)]
  end

  def test_topic_goes_by_patterns
    exchange, first, second = exchange(:topic), queue, queue
    first.bind(exchange, routing_key: "*.error")
    second.bind(exchange, routing_key: "disk.#")
    %w[disk.error disk net.error].each { |key| exchange.publish(key, routing_key: key) }
    assert_equal [%w[disk.error net.error], %w[disk.error disk]], [payloads(first), payloads(second)]
  end

  def test_headers_go_by_all_or_any
    exchange, first, second = exchange(:headers), queue, queue
    wanted = { "os" => "linux", "cores" => 8 }
    first.bind(exchange, arguments: wanted.merge("x-match" => "all"))
    second.bind(exchange, arguments: wanted.merge("x-match" => "any"))
    exchange.publish("both", headers: wanted).publish("one", headers: { "cores" => 8 }).publish("none", headers: {})
    assert_equal [%w[both], %w[both one]], [payloads(first), payloads(second)]
  end

  def test_fanout_fed_by_another_exchange
    source, target, queue = exchange(:direct), exchange(:fanout), queue()
    target.bind(source, routing_key: "on")
    queue.bind(target)
    source.publish("through", routing_key: "on")
    assert_equal ["through"], payloads(queue)
  end
end

class Publishing < Scenario
  def test_confirm_for_all_that_was_sent
    queue = queue()
    @channel.confirm_select
    100.times { |n| queue.publish(n.to_s, persistent: true) }
    assert @channel.wait_for_confirms
    assert_empty @channel.unconfirmed_set
    assert_equal 100, queue.message_count
  end

  def test_confirm_is_negative_where_the_queue_is_full
    queue = queue(arguments: { "x-max-length" => 1, "x-overflow" => "reject-publish" })
    @channel.confirm_select
    2.times { queue.publish("x") }
    refute @channel.wait_for_confirms
    assert_equal [2], @channel.nacked_set.to_a
  end

  def test_return_of_what_goes_nowhere
    returned = Queue.new
    exchange = @channel.default_exchange
    exchange.on_return { |info, _, payload| returned << [info.reply_code, info.reply_text, payload] }
    exchange.publish("lost", routing_key: "nowhere", mandatory: true)
    assert_equal [312, "NO_ROUTE", "lost"], take(returned)
  end
end

class Consuming < Scenario
  def three
    queue().tap { |queue| %w[a b c].each { |payload| queue.publish(payload) } }
  end

  # Deliveries as they come.
  def consume(queue, **options)
    Queue.new.tap do |deliveries|
      queue.subscribe(**options) { |delivery, properties, payload| deliveries << [delivery, properties, payload] }
    end
  end

  def test_qos_holds_back_what_is_not_acknowledged
    @channel.prefetch(1)
    deliveries = consume(three, manual_ack: true)
    first, = take(deliveries)
    @channel.queue("", exclusive: true)
    assert_empty deliveries
    @channel.ack(first.delivery_tag)
    assert_equal "b", take(deliveries)[2]
  end

  def test_ack_of_many_at_once
    queue = three
    tags = Array.new(2) { queue.pop(manual_ack: true)[0].delivery_tag }
    @channel.ack(tags.last, true)
    @channel.close
    @channel = @connection.create_channel
    assert_equal ["c"], payloads(@channel.queue(queue.name, passive: true))
  end

  def test_nack_puts_many_back
    queue = three
    tags = Array.new(2) { queue.pop(manual_ack: true)[0].delivery_tag }
    @channel.nack(tags.last, true, true)
    delivery, _, payload = queue.pop
    assert_equal ["a", true], [payload, delivery.redelivered?]
    assert_equal %w[b c], payloads(queue)
  end

  def test_reject_throws_away_or_puts_back
    queue = three
    @channel.reject(queue.pop(manual_ack: true)[0].delivery_tag, false)
    @channel.reject(queue.pop(manual_ack: true)[0].delivery_tag, true)
    assert_equal %w[b c], payloads(queue)
  end

  def test_reject_dead_letters
    dead = queue
    queue = queue(arguments: { "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => dead.name })
    deaths = consume(dead)
    queue.publish("bad")
    @channel.reject(queue.pop(manual_ack: true)[0].delivery_tag, false)
    _, properties, payload = take(deaths)
    death = properties.headers["x-death"].first
    assert_equal ["bad", "rejected", 1, queue.name], [payload, *death.values_at("reason", "count", "queue")]
  end

  def test_recover_brings_back_what_is_not_acknowledged
    deliveries = consume(three, manual_ack: true)
    3.times { take(deliveries) }
    @channel.basic_recover(true)
    again = Array.new(3) { take(deliveries) }
    assert_equal %w[a b c], again.map(&:last)
    assert again.all? { |delivery, *| delivery.redelivered? }
  end

  def test_consumer_learns_that_its_queue_is_deleted
    queue = queue()
    cancelled = Queue.new
    consumer = Bunny::Consumer.new(@channel, queue, "mine")
    consumer.on_cancellation { |cancel| cancelled << cancel.consumer_tag }
    queue.subscribe_with(consumer)
    @connection.create_channel.queue_delete(queue.name)
    assert_equal "mine", take(cancelled)
  end

  def test_rpc_by_reply_to
    requests, replies = queue, queue
    requests.subscribe do |_, properties, payload|
      @channel.default_exchange.publish(payload.upcase, routing_key: properties.reply_to,
                                                       correlation_id: properties.correlation_id)
    end
    answers = consume(replies)
    requests.publish("hello", reply_to: replies.name, correlation_id: "42")
    _, properties, payload = take(answers)
    assert_equal %w[HELLO 42], [payload, properties.correlation_id]
  end

  def test_rpc_by_direct_reply_to
    answers = consume(@channel.queue("amq.rabbitmq.reply-to", no_declare: true))
    requests = @channel.queue("bunny.requests.#{rand(1 << 64)}", auto_delete: true)
    server = @connection.create_channel
    server.queue(requests.name, passive: true).subscribe do |_, properties, payload|
      server.default_exchange.publish(payload.upcase, routing_key: properties.reply_to)
    end
    requests.publish("hello", reply_to: "amq.rabbitmq.reply-to")
    assert_equal "HELLO", take(answers)[2]
  end
end

class Transactions < Scenario
  def test_tx_commit_and_rollback
    queue = queue()
    @channel.tx_select
    queue.publish("undone")
    @channel.tx_rollback
    queue.publish("done")
    @channel.tx_commit
    assert_equal ["done"], payloads(queue)
  end
end

class Errors < Scenario
  def test_errors_name_what_is_missing
    assert_closes(Bunny::NotFound, "NOT_FOUND - no queue 'nosuch' in vhost '/'") { |ch| ch.queue("nosuch", passive: true) }
    assert_closes(Bunny::NotFound, "NOT_FOUND - no exchange 'nosuch' in vhost '/'") { |ch| ch.topic("nosuch", passive: true) }
  end

  def test_errors_name_what_differs
    name = "bunny.differs.#{rand(1 << 64)}"
    @channel.queue(name, exclusive: true)
    text = "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '#{name}' in vhost '/'"
    assert_closes(Bunny::PreconditionFailed, text) { |ch| ch.queue(name, exclusive: true, arguments: { "x-max-length" => 1 }) }
  end

  def test_errors_name_who_may_not
    queue = queue()
    raised = assert_raises(Bunny::ResourceLocked) { connect.create_channel.queue(queue.name, passive: true) }
    assert_includes raised.message, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '#{queue.name}'"
    assert_closes(Bunny::AccessRefused, "contains reserved prefix 'amq.*'") { |ch| ch.queue("amq.mine") }
  end

  def test_errors_leave_other_channels_alone
    assert_closes(Bunny::PreconditionFailed, "PRECONDITION_FAILED - unknown delivery tag 7") do |channel|
      failed = Queue.new
      channel.on_error { |_, close| failed << close }
      channel.ack(7)
      close = take(failed)
      raise Bunny::PreconditionFailed.new(close.reply_text, channel, close)
    end
    assert_equal 0, queue.message_count
  end
end

class Network < Scenario
  def test_reconnect_by_itself_with_all_that_was_declared
    connection = connect(ENV.fetch("CUT_URL"), network_recovery_interval: 0.1, recover_from_connection_close: true)
    recovered = Queue.new
    connection.after_recovery_completed { recovered << true }
    channel = connection.create_channel
    queue = channel.queue("bunny.recovers.#{rand(1 << 64)}", auto_delete: true)
    exchange = channel.fanout("bunny.recovers.#{rand(1 << 64)}", auto_delete: true)
    queue.bind(exchange)
    deliveries = Queue.new
    queue.subscribe { |_, _, payload| deliveries << payload }
    cut
    take(recovered)
    exchange.publish("after")
    assert_equal "after", take(deliveries)
  end
end

if ENV["AMQPS_URL"]
  class Tls < Scenario
    def test_tls_with_a_certificate_of_the_client
      connection = connect(ENV.fetch("AMQPS_URL"), tls_ca_certificates: [ENV.fetch("TLS_CA")], verify_peer: true,
                           tls_cert: ENV.fetch("TLS_CERTIFICATE"), tls_key: ENV.fetch("TLS_KEY"))
      channel = connection.create_channel
      queue = channel.queue("", exclusive: true)
      queue.publish("x" * 300_000)
      assert_equal 300_000, queue.pop[2].size
    end
  end
end

run_scenarios
