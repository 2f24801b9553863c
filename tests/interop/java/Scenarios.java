// The RabbitMQ team's client for Java.

import com.rabbitmq.client.*;
import java.io.FileInputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.*;
import java.util.concurrent.*;
import javax.net.ssl.*;

class Scenarios {
    interface Scenario {
        void play(Channel channel) throws Exception;
    }

    static final long PATIENCE_MS = 20_000;
    static final Map<String, Scenario> SCENARIOS = new LinkedHashMap<>();

    static {
        SCENARIOS.put("connect: and learn what the server can", channel -> {
            Map<?, ?> can = (Map<?, ?>) channel.getConnection().getServerProperties().get("capabilities");
            equal(can.get("publisher_confirms"), true);
        });
        SCENARIOS.put("connect: with a wrong password is refused", channel -> {
            ConnectionFactory factory = factory("AMQP_URL");
            factory.setPassword("wrong");
            fails(AuthenticationFailureException.class, factory::newConnection);
        });
        SCENARIOS.put("declare: tells what is in the queue", channel -> {
            channel.confirmSelect();
            String queue = queue(channel);
            publish(channel, queue, "1");
            channel.waitForConfirmsOrDie(PATIENCE_MS);
            AMQP.Queue.DeclareOk there = channel.queueDeclarePassive(queue);
            equal(List.of(there.getMessageCount(), there.getConsumerCount()), List.of(1, 0));
            equal(channel.queuePurge(queue).getMessageCount(), 1);
            equal(channel.queueDelete(queue).getMessageCount(), 0);
        });
        SCENARIOS.put("direct: goes by the key", channel -> {
            String exchange = exchange(channel, "direct"), first = queue(channel), second = queue(channel);
            channel.queueBind(first, exchange, "red");
            channel.queueBind(second, exchange, "blue");
            for (String key : List.of("red", "green")) channel.basicPublish(exchange, key, null, key.getBytes());
            equal(List.of(bodies(channel, first), bodies(channel, second)), List.of(List.of("red"), List.of()));
        });
        SCENARIOS.put("fanout: goes to all, also from another exchange", channel -> {
            String source = exchange(channel, "direct"), exchange = exchange(channel, "fanout");
            channel.exchangeBind(exchange, source, "on");
            List<String> queues = List.of(queue(channel), queue(channel));
            for (String queue : queues) channel.queueBind(queue, exchange, "");
            channel.basicPublish(source, "on", null, "all".getBytes());
            for (String queue : queues) equal(bodies(channel, queue), List.of("all"));
        });
        SCENARIOS.put("topic: goes by patterns", channel -> {
            String exchange = exchange(channel, "topic"), first = queue(channel), second = queue(channel);
            channel.queueBind(first, exchange, "*.error");
            channel.queueBind(second, exchange, "disk.#");
            for (String key : List.of("disk.error", "disk", "net.error")) {
                channel.basicPublish(exchange, key, null, key.getBytes());
            }
            equal(bodies(channel, first), List.of("disk.error", "net.error"));
            equal(bodies(channel, second), List.of("disk.error", "disk"));
        });
        SCENARIOS.put("headers: go by all or any", channel -> {
            String exchange = exchange(channel, "headers"), first = queue(channel), second = queue(channel);
            channel.queueBind(first, exchange, "", Map.of("x-match", "all", "os", "linux", "cores", 8));
            channel.queueBind(second, exchange, "", Map.of("x-match", "any", "os", "linux", "cores", 8));
            Map<String, Map<String, Object>> messages = new LinkedHashMap<>();
            messages.put("both", Map.of("os", "linux", "cores", 8));
            messages.put("one", Map.of("cores", 8));
            messages.put("none", Map.of("cores", 1));
            for (var message : messages.entrySet()) {
                var properties = new AMQP.BasicProperties.Builder().headers(message.getValue()).build();
                channel.basicPublish(exchange, "", properties, message.getKey().getBytes());
            }
            equal(bodies(channel, first), List.of("both"));
            equal(bodies(channel, second), List.of("both", "one"));
        });
        SCENARIOS.put("confirm: for every message, negative where the queue is full", channel -> {
            channel.confirmSelect();
            String queue = queue(channel);
            for (int n = 0; n < 100; n++) publish(channel, queue, "" + n);
            equal(channel.waitForConfirms(PATIENCE_MS), true);
            String full = queue(channel, Map.of("x-max-length", 1, "x-overflow", "reject-publish"));
            publish(channel, full, "fits", "does not");
            equal(channel.waitForConfirms(PATIENCE_MS), false);
        });
        SCENARIOS.put("return: of what goes nowhere", channel -> {
            BlockingQueue<Return> returned = new LinkedBlockingQueue<>();
            channel.addReturnListener((ReturnCallback) returned::add);
            channel.basicPublish("", "nowhere", true, null, "lost".getBytes());
            Return message = next(returned);
            equal(List.of(message.getReplyCode(), message.getReplyText(), new String(message.getBody())),
                  List.of(312, "NO_ROUTE", "lost"));
        });
        SCENARIOS.put("qos: holds back what is not acknowledged", channel -> {
            String queue = filled(channel, "1", "2", "3");
            channel.basicQos(2);
            BlockingQueue<Delivery> messages = consume(channel, queue, false);
            Delivery first = next(messages);
            equal(body(next(messages)), "2");
            equal(channel.queueDeclarePassive(queue).getMessageCount(), 1);
            channel.basicAck(first.getEnvelope().getDeliveryTag(), false);
            equal(body(next(messages)), "3");
        });
        SCENARIOS.put("ack: of all so far", channel -> {
            String queue = filled(channel, "1", "2", "3");
            channel.basicGet(queue, false);
            channel.basicAck(channel.basicGet(queue, false).getEnvelope().getDeliveryTag(), true);
            channel.close();
            equal(bodies(channel.getConnection().createChannel(), queue), List.of("3"));
        });
        SCENARIOS.put("nack: puts all so far back in their place", channel -> {
            String queue = filled(channel, "1", "2", "3");
            channel.basicGet(queue, false);
            channel.basicNack(channel.basicGet(queue, false).getEnvelope().getDeliveryTag(), true, true);
            equal(channel.basicGet(queue, true).getEnvelope().isRedeliver(), true);
            equal(bodies(channel, queue), List.of("2", "3"));
        });
        SCENARIOS.put("reject: to a dead-letter exchange", channel -> {
            String dead = queue(channel);
            String queue = queue(channel, Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead));
            publish(channel, queue, "bad");
            BlockingQueue<Delivery> deaths = consume(channel, dead, true);
            channel.basicReject(channel.basicGet(queue, false).getEnvelope().getDeliveryTag(), false);
            Delivery letter = next(deaths);
            Map<?, ?> death = (Map<?, ?>) ((List<?>) letter.getProperties().getHeaders().get("x-death")).get(0);
            equal(List.of(body(letter), death.get("queue").toString(), death.get("reason").toString(), death.get("count")),
                  List.of("bad", queue, "rejected", 1L));
        });
        SCENARIOS.put("recover: brings back what is not acknowledged", channel -> {
            BlockingQueue<Delivery> messages = consume(channel, filled(channel, "1"), false);
            equal(next(messages).getEnvelope().isRedeliver(), false);
            channel.basicRecover(true);
            equal(next(messages).getEnvelope().isRedeliver(), true);
        });
        SCENARIOS.put("tx: commits and rolls back", channel -> {
            String queue = queue(channel);
            channel.txSelect();
            publish(channel, queue, "undone");
            channel.txRollback();
            publish(channel, queue, "done");
            channel.txCommit();
            equal(bodies(channel, queue), List.of("done"));
        });
        SCENARIOS.put("get: keeps every property", channel -> {
            String queue = queue(channel);
            Map<String, Object> headers = new HashMap<>();
            headers.putAll(Map.of("n", 1, "big", 1L << 40, "yes", true, "double", 1.5, "when", new Date(1_700_000_000_000L)));
            headers.put("none", null);
            headers.put("decimal", new java.math.BigDecimal("1.25"));
            headers.put("list", List.of(1, Map.of("deep", 2)));
            var properties = new AMQP.BasicProperties("text/plain", "utf-8", headers, 2, 3, "c", "r", "60000", "m",
                    new Date(1_700_000_000_000L), "t", "guest", "a", null);
            channel.basicPublish("", queue, properties, new byte[300_000]);
            GetResponse message = channel.basicGet(queue, true);
            equal(message.getProps().getHeaders(), headers);
            equal(message.getProps().toString(), properties.toString());
            equal(List.of(message.getBody().length, message.getMessageCount()), List.of(300_000, 0));
            equal(channel.basicGet(queue, true), null);
        });
        SCENARIOS.put("rpc: by direct reply-to, as RpcClient and RpcServer have it", channel -> {
            String requests = queue(channel);
            StringRpcServer server = new StringRpcServer(channel.getConnection().createChannel(), requests) {
                @Override
                public String handleStringCall(String request, AMQP.BasicProperties reply) {
                    return request.toUpperCase();
                }
            };
            Thread serving = new Thread(() -> {
                try {
                    server.mainloop();
                } catch (IOException | RuntimeException ended) {
                    // With its connection.
                }
            });
            serving.start();
            RpcClient client = new RpcClient(channel, "", requests, (int) PATIENCE_MS);
            equal(client.stringCall("hello"), "HELLO");
            client.close();
            server.terminateMainloop();
        });
        SCENARIOS.put("consumer: is told when its queue is deleted", channel -> {
            String queue = queue(channel);
            BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();
            channel.basicConsume(queue, true, "mine", (tag, message) -> {}, cancelled::add);
            channel.getConnection().createChannel().queueDelete(queue);
            equal(next(cancelled), "mine");
        });
        SCENARIOS.put("errors: name what is missing, what differs and what is reserved", channel -> {
            String differs = "java.differs." + UUID.randomUUID();
            channel.queueDeclare(differs, false, true, false, null);
            closed(channel, 404, "NOT_FOUND - no queue 'nosuch' in vhost '/'", on -> on.queueDeclarePassive("nosuch"));
            closed(channel, 404, "NOT_FOUND - no exchange 'nosuch' in vhost '/'", on -> on.exchangeDeclarePassive("nosuch"));
            closed(channel, 406, "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '" + differs + "' in vhost '/'",
                    on -> on.queueDeclare(differs, false, true, false, Map.of("x-max-length", 1)));
            closed(channel, 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
                    on -> on.queueDeclare("amq.mine", false, false, false, null));
            equal(channel.messageCount(differs), 0L);
        });
        SCENARIOS.put("reconnect: by itself, with all that was declared", ignored -> {
            ConnectionFactory factory = factory("CUT_URL");
            factory.setNetworkRecoveryInterval(100);
            Connection connection = factory.newConnection();
            BlockingQueue<String> recovered = new LinkedBlockingQueue<>();
            ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
                @Override
                public void handleRecovery(Recoverable connection) {
                    recovered.add("recovered");
                }

                @Override
                public void handleRecoveryStarted(Recoverable connection) {}
            });
            Channel channel = connection.createChannel();
            String exchange = exchange(channel, "fanout");
            String queue = channel.queueDeclare("java.recovers." + UUID.randomUUID(), false, false, true, null).getQueue();
            channel.queueBind(queue, exchange, "");
            BlockingQueue<Delivery> messages = consume(channel, queue, true);
            cut();
            next(recovered);
            channel.basicPublish(exchange, "", null, "after".getBytes());
            equal(body(next(messages)), "after");
            connection.close();
        });
        if (System.getenv("AMQPS_URL") != null) {
            SCENARIOS.put("tls: with a certificate of the client", ignored -> {
                ConnectionFactory factory = factory("AMQPS_URL");
                factory.useSslProtocol(tls());
                try (Connection connection = factory.newConnection()) {
                    Channel channel = connection.createChannel();
                    String queue = queue(channel);
                    channel.basicPublish("", queue, null, new byte[300_000]);
                    equal(channel.basicGet(queue, true).getBody().length, 300_000);
                }
            });
            SCENARIOS.put("tls: with an unknown authority is refused by the client", ignored -> {
                ConnectionFactory factory = factory("AMQPS_URL");
                factory.useSslProtocol(SSLContext.getDefault());
                fails(SSLException.class, factory::newConnection);
            });
        }
    }

    public static void main(String[] arguments) {
        int number = 0, failed = 0;
        for (var scenario : SCENARIOS.entrySet()) {
            number++;
            try (Connection connection = factory("AMQP_URL").newConnection()) {
                scenario.getValue().play(connection.createChannel());
                System.out.println("ok " + number + " - " + scenario.getKey());
            } catch (Throwable error) {
                failed++;
                System.out.println("not ok " + number + " - " + scenario.getKey());
                System.out.println("#   " + error);
                for (StackTraceElement element : error.getStackTrace()) System.out.println("#     " + element);
            }
        }
        System.out.println("1.." + number);
        System.exit(failed == 0 ? 0 : 1);
    }

    static ConnectionFactory factory(String setting) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(env(setting));
        return factory;
    }

    static String env(String name) {
        return Objects.requireNonNull(System.getenv(name), name);
    }

    static void equal(Object found, Object expected) {
        if (!Objects.equals(found, expected)) throw new AssertionError("expected " + expected + ", found " + found);
    }

    static void fails(Class<? extends Throwable> expected, Callable<?> call) {
        try {
            call.call();
        } catch (Throwable error) {
            equal(expected.isInstance(error), true);
            return;
        }
        throw new AssertionError("not refused");
    }

    /** On a channel of its own the call ends it with this code and text. */
    static void closed(Channel beside, int code, String text, Scenario call) throws Exception {
        try {
            call.play(beside.getConnection().createChannel());
        } catch (IOException error) {
            var close = (AMQP.Channel.Close) ((ShutdownSignalException) error.getCause()).getReason();
            equal(close.getReplyCode(), code);
            equal(close.getReplyText().substring(0, Math.min(text.length(), close.getReplyText().length())), text);
            return;
        }
        throw new AssertionError("not refused: " + text);
    }

    static String queue(Channel channel) throws IOException {
        return queue(channel, null);
    }

    static String queue(Channel channel, Map<String, Object> arguments) throws IOException {
        return channel.queueDeclare("", false, true, false, arguments).getQueue();
    }

    static String exchange(Channel channel, String type) throws IOException {
        String name = "java." + type + "." + UUID.randomUUID();
        channel.exchangeDeclare(name, type, false, true, null);
        return name;
    }

    static void publish(Channel channel, String queue, String... bodies) throws IOException {
        for (String body : bodies) channel.basicPublish("", queue, null, body.getBytes());
    }

    static String filled(Channel channel, String... bodies) throws IOException {
        String queue = queue(channel);
        publish(channel, queue, bodies);
        return queue;
    }

    static String body(Delivery delivery) {
        return new String(delivery.getBody());
    }

    /** The bodies of everything that is ready. */
    static List<String> bodies(Channel channel, String queue) throws IOException {
        List<String> found = new ArrayList<>();
        for (GetResponse message; (message = channel.basicGet(queue, true)) != null; ) {
            found.add(new String(message.getBody()));
        }
        return found;
    }

    static BlockingQueue<Delivery> consume(Channel channel, String queue, boolean noAck) throws IOException {
        BlockingQueue<Delivery> messages = new LinkedBlockingQueue<>();
        channel.basicConsume(queue, noAck, (tag, message) -> messages.add(message), tag -> {});
        return messages;
    }

    static <T> T next(BlockingQueue<T> things) throws InterruptedException {
        T thing = things.poll(PATIENCE_MS, TimeUnit.MILLISECONDS);
        if (thing == null) throw new AssertionError("nothing came");
        return thing;
    }

    /** Cuts every connection through the proxy, as a broken network would; returns when that is done. */
    static void cut() throws IOException {
        try (Socket cutter = new Socket("127.0.0.1", Integer.parseInt(env("CUTTER_PORT")))) {
            equal(cutter.getInputStream().read(), -1);
        }
    }

    static SSLContext tls() throws Exception {
        KeyStore authorities = KeyStore.getInstance("PKCS12"), own = KeyStore.getInstance("PKCS12");
        authorities.load(null);
        authorities.setCertificateEntry("ca", certificate("TLS_CA"));
        own.load(null);
        own.setKeyEntry("client", privateKey("TLS_KEY"), new char[0], new Certificate[] {certificate("TLS_CERTIFICATE")});
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(authorities);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, new char[0]);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    static Certificate certificate(String setting) throws Exception {
        try (FileInputStream file = new FileInputStream(env(setting))) {
            return CertificateFactory.getInstance("X.509").generateCertificate(file);
        }
    }

    static PrivateKey privateKey(String setting) throws Exception {
        String base64 = Files.readString(Path.of(env(setting))).replaceAll("-----[A-Z ]+-----|\\s", "");
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(base64)));
    }
}
