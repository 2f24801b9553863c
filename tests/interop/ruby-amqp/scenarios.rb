# amqp, the Ruby client on EventMachine: everything is a callback.

require "amqp"
require "fiber"
require "tap"

# Each scenario runs in an event loop of its own, in a fiber that sleeps until what it asked for has come.
class Scenario < Minitest::Test
  PATIENCE_S = 20

  def run
    result = nil
    EventMachine.run do
      Fiber.new do
        result = super
        EventMachine.stop
      end.resume
    end
    result
  end

  def setup
    @connection = connect
    @channel = open
  end

  def teardown
    wait { |come| @connection.disconnect(&come) } if @connection.open?
  end

  # Hands out a callback and returns what it is called with.
  def wait
    fiber = Fiber.current
    come = false
    found = nil
    callback = proc do |*values|
      next if come
      come = true
      found = values.size > 1 ? values : values.first
      fiber.resume if fiber.alive? && @sleeping == fiber
    end
    yield callback
    unless come
      patience = EventMachine.add_timer(PATIENCE_S) { fiber.raise("nothing came") }
      @sleeping = fiber
      Fiber.yield
      @sleeping = nil
      EventMachine.cancel_timer(patience)
    end
    found
  end

  def connect(url = ENV.fetch("AMQP_URL"), **options)
    wait { |come| AMQP.connect(url, **options, &come) }
  end

  # A channel that was opened, and that keeps quiet when it is closed.
  def open(connection = @connection)
    channel = wait { |come| AMQP::Channel.new(connection) { |channel| come.call(channel) } }
    channel.on_error { |_, close| (@closes ||= []) << close }
    channel
  end

  def queue(channel = @channel, **options)
    wait { |come| channel.queue("", exclusive: true, **options) { |queue, _| come.call(queue) } }
  end

  def exchange(kind)
    name = "amqp-gem.#{kind}.#{rand(1 << 64)}"
    wait { |come| @channel.public_send(kind, name, auto_delete: true) { |exchange, _| come.call(exchange) } }
  end

  def bind(queue, exchange, **options)
    wait { |come| queue.bind(exchange, **options) { come.call } }
  end

  def publish(body, key, **options)
    @channel.default_exchange.publish(body, routing_key: key, **options)
  end

  # The next message as [header, body]; both are nil when the queue is empty.
  def pop(queue, **options)
    wait { |come| queue.pop(**options) { |header, body| come.call(header, body) } }
  end

  def bodies(queue)
    found = []
    while (body = pop(queue)[1])
      found << body
    end
    found
  end

  # Deliveries as they come; `take` waits for the next one.
  class Deliveries
    def initialize
      @come = []
    end

    def push(thing)
      waiting, @waiting = @waiting, nil
      waiting ? waiting.call(thing) : @come.push(thing)
    end

    def next(&callback)
      @come.empty? ? @waiting = callback : callback.call(@come.shift)
    end

    def size
      @come.size
    end
  end

  def consume(queue, **options)
    Deliveries.new.tap do |deliveries|
      wait do |come|
        queue.subscribe(confirm: proc { come.call }, **options) { |header, body| deliveries.push([header, body]) }
      end
    end
  end

  def take(deliveries)
    wait { |come| deliveries.next(&come) }
  end

  # All that was sent before has been handled, and all that it caused has come.
  def sync(queue)
    wait { |come| queue.status { |messages, consumers| come.call(messages, consumers) } }
  end

  # The close that a call on a channel of its own leads to.
  def closed
    channel = AMQP::Channel.new(@connection)
    wait do |come|
      channel.on_error { |_, close| come.call(close) }
      yield channel
    end
  end
end

class Basics < Scenario
  def test_connect_and_learn_who_the_server_is
    assert @connection.open?
    assert_equal true, @connection.server_capabilities["publisher_confirms"]
  end

  def test_connect_with_a_wrong_password_is_refused
    wrong = ENV.fetch("AMQP_URL").sub("guest:guest", "guest:wrong")
    refused = wait do |come|
      AMQP.connect(wrong, on_possible_authentication_failure: proc { come.call(true) })
    end
    assert refused
  end

  def test_declare_tells_what_is_in_the_queue
    queue = queue()
    assert queue.name.start_with?("amq.gen-")
    wait { |come| @channel.confirm_select { come.call } }
    wait do |come|
      @channel.on_ack { come.call }
      publish("1", queue.name)
    end
    assert_equal [1, 0], sync(queue)
    wait { |come| queue.purge { come.call } }
    assert_equal [0, 0], sync(queue)
    wait { |come| queue.delete { come.call } }
  end

  def test_get_with_its_properties
    queue = queue()
    headers = { "n" => 1, "yes" => true, "list" => [1, "a"], "table" => { "deep" => "er" } }
    publish("x" * 300_000, queue.name, content_type: "text/plain", headers: headers, priority: 3, correlation_id: "c",
                                       reply_to: "r", message_id: "m", type: "t", app_id: "a", persistent: true)
    header, body = pop(queue)
    assert_equal 300_000, body.size
    assert_equal headers, header.headers
    assert_equal ["text/plain", 3, "c", "r", "m", "t", "a", 2],
                 [header.content_type, header.priority, header.correlation_id, header.reply_to, header.message_id,
                  header.type, header.app_id, header.delivery_mode]
    assert_nil pop(queue)[1]
  end
end

class Exchanges < Scenario
  def test_direct_goes_by_the_key
    exchange, first, second = exchange(:direct), queue, queue
    bind(first, exchange, routing_key: "red")
    bind(second, exchange, routing_key: "blue")
    %w[red green].each { |key| exchange.publish(key, routing_key: key) }
    assert_equal [%w[red], []], [bodies(first), bodies(second)]
  end

  def test_fanout_goes_to_all_and_from_another_exchange
    source, exchange, first, second = exchange(:direct), exchange(:fanout), queue, queue
    wait { |come| exchange.bind(source, routing_key: "on") { come.call } }
    [first, second].each { |queue| bind(queue, exchange) }
    source.publish("all", routing_key: "on")
    assert_equal [%w[all], %w[all]], [bodies(first), bodies(second)]
  end

  def test_topic_goes_by_patterns
    exchange, first, second = exchange(:topic), queue, queue
    bind(first, exchange, routing_key: "*.error")
    bind(second, exchange, routing_key: "disk.#")
    %w[disk.error disk net.error].each { |key| exchange.publish(key, routing_key: key) }
    assert_equal [%w[disk.error net.error], %w[disk.error disk]], [bodies(first), bodies(second)]
  end

  def test_headers_go_by_all_or_any
    exchange, first, second = exchange(:headers), queue, queue
    wanted = { "os" => "linux", "cores" => 8 }
    bind(first, exchange, arguments: wanted.merge("x-match" => "all"))
    bind(second, exchange, arguments: wanted.merge("x-match" => "any"))
    { "both" => wanted, "one" => { "cores" => 8 }, "none" => { "cores" => 1 } }.each do |body, headers|
      exchange.publish(body, headers: headers)
    end
    assert_equal [%w[both], %w[both one]], [bodies(first), bodies(second)]
  end
end

class Publishing < Scenario
  def test_confirm_for_all_that_was_sent
    queue = queue()
    wait { |come| @channel.confirm_select { come.call } }
    acked = 0
    all = wait do |come|
      @channel.on_ack do |ack|
        acked = ack.multiple ? ack.delivery_tag : acked + 1
        come.call(true) if acked == 100
      end
      100.times { |n| publish(n.to_s, queue.name, persistent: true) }
    end
    assert all
    assert_equal 100, sync(queue)[0]
  end

  def test_confirm_is_negative_where_the_queue_is_full
    queue = queue(arguments: { "x-max-length" => 1, "x-overflow" => "reject-publish" })
    wait { |come| @channel.confirm_select { come.call } }
    nacked = wait do |come|
      @channel.on_nack { |nack| come.call(nack.delivery_tag) }
      2.times { publish("x", queue.name) }
    end
    assert_equal 2, nacked
  end

  def test_return_of_what_goes_nowhere
    exchange = exchange(:direct)
    returned = wait do |come|
      exchange.on_return { |info, _, body| come.call([info.reply_code, info.reply_text, body]) }
      exchange.publish("lost", routing_key: "nowhere", mandatory: true)
    end
    assert_equal [312, "NO_ROUTE", "lost"], returned
  end

  def test_tx_commit_and_rollback
    queue = queue()
    wait { |come| @channel.tx_select { come.call } }
    publish("undone", queue.name)
    wait { |come| @channel.tx_rollback { come.call } }
    publish("done", queue.name)
    wait { |come| @channel.tx_commit { come.call } }
    assert_equal %w[done], bodies(queue)
  end
end

class Consuming < Scenario
  def three
    queue().tap { |queue| %w[a b c].each { |body| publish(body, queue.name) } }
  end

  def test_qos_holds_back_what_is_not_acknowledged
    @channel.prefetch(1)
    queue = three
    deliveries = consume(queue, ack: true)
    header, = take(deliveries)
    sync(queue)
    assert_equal 0, deliveries.size
    header.ack
    assert_equal "b", take(deliveries)[1]
  end

  def test_ack_of_many_at_once
    queue = three
    pop(queue, ack: true)
    pop(queue, ack: true)[0].ack(true)
    wait { |come| @channel.recover(true) { come.call } }
    assert_equal %w[c], bodies(queue)
  end

  def test_reject_throws_away_or_puts_back
    queue = three
    pop(queue, ack: true)[0].reject(requeue: false)
    pop(queue, ack: true)[0].reject(requeue: true)
    assert_equal %w[b c], bodies(queue)
  end

  def test_recover_brings_back_what_is_not_acknowledged
    deliveries = consume(three, ack: true)
    3.times { take(deliveries) }
    @channel.recover(true)
    again = Array.new(3) { take(deliveries) }
    assert_equal %w[a b c], again.map(&:last)
    assert again.all? { |header, _| header.redelivered? }
  end

  def test_rpc_by_reply_to
    requests, replies = queue, queue
    requests.subscribe do |header, body|
      publish(body.upcase, header.reply_to, correlation_id: header.correlation_id)
    end
    answers = consume(replies)
    publish("hello", requests.name, reply_to: replies.name, correlation_id: "42")
    header, body = take(answers)
    assert_equal %w[HELLO 42], [body, header.correlation_id]
  end
end

class Errors < Scenario
  def test_errors_name_what_is_missing_what_differs_and_what_is_reserved
    differs = "amqp-gem.differs.#{rand(1 << 64)}"
    queue = wait { |come| @channel.queue(differs, exclusive: true) { |queue, _| come.call(queue) } }
    {
      [404, "NOT_FOUND - no queue 'nosuch' in vhost '/'"] => ->(channel) { channel.queue("nosuch", passive: true) {} },
      [406, "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '#{differs}' in vhost '/'"] =>
        ->(channel) { channel.queue(differs, exclusive: true, arguments: { "x-max-length" => 1 }) {} },
      [403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"] =>
        ->(channel) { channel.queue("amq.mine") {} },
    }.each do |(code, text), call|
      close = closed(&call)
      assert_equal code, close.reply_code
      assert close.reply_text.start_with?(text), close.reply_text
    end
    assert_equal [0, 0], sync(queue)
  end
end

class Network < Scenario
  def test_reconnect_finds_what_is_durable
    lossy = connect(ENV.fetch("CUT_URL"))
    channel = AMQP::Channel.new(lossy, auto_recovery: true)
    queue = wait { |come| channel.queue("amqp-gem.kept.#{rand(1 << 64)}", durable: true) { |queue, _| come.call(queue) } }
    wait { |come| channel.confirm_select { come.call } }
    wait do |come|
      channel.on_ack { come.call }
      channel.default_exchange.publish("kept", routing_key: queue.name, persistent: true)
    end
    wait do |come|
      lossy.on_tcp_connection_loss { |connection, _| connection.reconnect(false, 0.1) }
      lossy.on_recovery { come.call }
      cut
    end
    assert_equal "kept", pop(queue)[1]
    wait { |come| queue.delete { come.call } }
    wait { |come| lossy.disconnect(&come) }
  end
end

if ENV["AMQPS_URL"]
  class Tls < Scenario
    def test_tls_with_a_certificate_of_the_client
      files = { cert_chain_file: ENV.fetch("TLS_CERTIFICATE"), private_key_file: ENV.fetch("TLS_KEY") }
      @connection = connect(host: "localhost", port: Integer(ENV.fetch("AMQPS_PORT")), ssl: files)
      @channel = open
      queue = queue()
      publish("x" * 300_000, queue.name)
      assert_equal 300_000, pop(queue)[1].size
    end
  end
end

run_scenarios
