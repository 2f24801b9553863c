<?php
// php-amqplib.

require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPSSLConnection;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPIOException;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

// The library is older than the interpreter; what it says about that is not our matter.
error_reporting(E_ALL & ~E_DEPRECATED);

function env(string $name): string
{
    return getenv($name) ?: throw new RuntimeException("$name is not set");
}

function connect(string $port = 'AMQP_PORT', string $password = 'guest'): AMQPStreamConnection
{
    return new AMQPStreamConnection(env('AMQP_HOST'), env($port), 'guest', $password);
}

function equal(mixed $expected, mixed $found): void
{
    if ($expected !== $found) {
        throw new Exception('expected ' . json_encode($expected) . ', found ' . json_encode($found));
    }
}

/** What the broker says when it closes the channel because of this call. */
function closed(callable $call): array
{
    try {
        $call();
    } catch (AMQPProtocolChannelException $error) {
        return [$error->amqp_reply_code, $error->amqp_reply_text];
    }
    throw new Exception('the channel is still open');
}

function queue(AMQPChannel $channel, array $arguments = [], string $name = ''): string
{
    return $channel->queue_declare($name, false, false, true, false, false, new AMQPTable($arguments))[0];
}

function exchange(AMQPChannel $channel, string $type): string
{
    $name = "php.$type." . bin2hex(random_bytes(8));
    $channel->exchange_declare($name, $type);
    return $name;
}

function publish(AMQPChannel $channel, string $queue, string ...$bodies): void
{
    foreach ($bodies as $body) {
        $channel->basic_publish(new AMQPMessage($body), '', $queue);
    }
}

/** The bodies of everything that is ready. */
function bodies(AMQPChannel $channel, string $queue): array
{
    $found = [];
    while ($message = $channel->basic_get($queue, true)) {
        $found[] = $message->getBody();
    }
    return $found;
}

/** A list that grows while the channel waits. */
function consume(AMQPChannel $channel, string $queue): ArrayObject
{
    $messages = new ArrayObject();
    $channel->basic_consume($queue, '', false, false, false, false, fn ($message) => $messages->append($message));
    return $messages;
}

function await(AMQPChannel $channel, ArrayObject $messages, int $count): array
{
    while (count($messages) < $count) {
        $channel->wait(null, false, 20);
    }
    return array_map(fn ($message) => $message->getBody(), (array) $messages);
}

$scenarios = [
    'connect: and learn what the server can' => function (AMQPChannel $channel) {
        $capabilities = $channel->getConnection()->getServerProperties()['capabilities'][1];
        equal(true, (bool) $capabilities['publisher_confirms'][1]);
    },
    'connect: with a wrong password is refused' => function () {
        try {
            connect(password: 'wrong');
        } catch (AMQPConnectionClosedException $error) {
            equal('ACCESS_REFUSED', substr($error->getMessage(), 0, 14));
            return;
        }
        throw new Exception('not refused');
    },
    'declare: tells what is in the queue' => function (AMQPChannel $channel) {
        $channel->confirm_select();
        $queue = queue($channel);
        publish($channel, $queue, '1');
        $channel->wait_for_pending_acks(20);
        equal([$queue, 1, 0], $channel->queue_declare($queue, true));
        equal(1, $channel->queue_purge($queue));
        equal(0, $channel->queue_delete($queue));
    },
    'get: keeps every property' => function (AMQPChannel $channel) {
        $queue = queue($channel);
        $properties = ['content_type' => 'text/plain', 'content_encoding' => 'utf-8', 'delivery_mode' => 2, 'priority' => 3,
            'correlation_id' => 'c', 'reply_to' => 'r', 'expiration' => '60000', 'message_id' => 'm',
            'timestamp' => 1700000000, 'type' => 't', 'user_id' => 'guest', 'app_id' => 'a'];
        $headers = ['n' => 1, 'yes' => true, 'none' => null, 'list' => [1, 'a'], 'table' => ['deep' => 'er']];
        $sent = new AMQPMessage('body', $properties + ['application_headers' => new AMQPTable($headers)]);
        $channel->basic_publish($sent, '', $queue);
        $message = $channel->basic_get($queue, true);
        foreach ($properties as $property => $value) {
            equal($value, $message->get($property));
        }
        equal($headers, $message->get('application_headers')->getNativeData());
        equal(0, $message->getMessageCount());
        equal(null, $channel->basic_get($queue, true));
    },
    'direct: goes by the key' => function (AMQPChannel $channel) {
        [$exchange, $first, $second] = [exchange($channel, 'direct'), queue($channel), queue($channel)];
        $channel->queue_bind($first, $exchange, 'red');
        $channel->queue_bind($second, $exchange, 'blue');
        foreach (['red', 'green'] as $key) {
            $channel->basic_publish(new AMQPMessage($key), $exchange, $key);
        }
        equal([['red'], []], [bodies($channel, $first), bodies($channel, $second)]);
    },
    'fanout: goes to all, also from another exchange' => function (AMQPChannel $channel) {
        [$source, $exchange] = [exchange($channel, 'direct'), exchange($channel, 'fanout')];
        [$first, $second] = [queue($channel), queue($channel)];
        $channel->exchange_bind($exchange, $source, 'on');
        $channel->queue_bind($first, $exchange);
        $channel->queue_bind($second, $exchange);
        $channel->basic_publish(new AMQPMessage('all'), $source, 'on');
        equal([['all'], ['all']], [bodies($channel, $first), bodies($channel, $second)]);
    },
    'topic: goes by patterns' => function (AMQPChannel $channel) {
        [$exchange, $first, $second] = [exchange($channel, 'topic'), queue($channel), queue($channel)];
        $channel->queue_bind($first, $exchange, '*.error');
        $channel->queue_bind($second, $exchange, 'disk.#');
        foreach (['disk.error', 'disk', 'net.error'] as $key) {
            $channel->basic_publish(new AMQPMessage($key), $exchange, $key);
        }
        equal(['disk.error', 'net.error'], bodies($channel, $first));
        equal(['disk.error', 'disk'], bodies($channel, $second));
    },
    'headers: go by all or any' => function (AMQPChannel $channel) {
        [$exchange, $first, $second] = [exchange($channel, 'headers'), queue($channel), queue($channel)];
        $wanted = ['os' => 'linux', 'cores' => 8];
        $channel->queue_bind($first, $exchange, '', false, new AMQPTable(['x-match' => 'all'] + $wanted));
        $channel->queue_bind($second, $exchange, '', false, new AMQPTable(['x-match' => 'any'] + $wanted));
        foreach (['both' => $wanted, 'one' => ['cores' => 8], 'none' => ['cores' => 1]] as $body => $headers) {
            $message = new AMQPMessage($body, ['application_headers' => new AMQPTable($headers)]);
            $channel->basic_publish($message, $exchange);
        }
        equal([['both'], ['both', 'one']], [bodies($channel, $first), bodies($channel, $second)]);
    },
    'confirm: for every message, negative where the queue is full' => function (AMQPChannel $channel) {
        $acked = $nacked = [];
        $channel->set_ack_handler(function ($message) use (&$acked) { $acked[] = $message->getBody(); });
        $channel->set_nack_handler(function ($message) use (&$nacked) { $nacked[] = $message->getBody(); });
        $channel->confirm_select();
        publish($channel, queue($channel, ['x-max-length' => 1, 'x-overflow' => 'reject-publish']), 'fits', 'does not');
        $channel->wait_for_pending_acks(20);
        equal([['fits'], ['does not']], [$acked, $nacked]);
    },
    'return: of what goes nowhere' => function (AMQPChannel $channel) {
        $returned = null;
        $channel->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$returned) {
            $returned = [$code, $text, $exchange, $key, $message->getBody()];
        });
        $channel->confirm_select();
        $channel->basic_publish(new AMQPMessage('lost'), '', 'nowhere', true);
        $channel->wait_for_pending_acks_returns(20);
        equal([312, 'NO_ROUTE', '', 'nowhere', 'lost'], $returned);
    },
    'qos: holds back what is not acknowledged' => function (AMQPChannel $channel) {
        $queue = queue($channel);
        publish($channel, $queue, '1', '2', '3');
        $channel->basic_qos(0, 2, false);
        $messages = consume($channel, $queue);
        await($channel, $messages, 2);
        $channel->queue_declare($queue, true);
        equal(2, count($messages));
        $messages[0]->ack();
        equal(['1', '2', '3'], await($channel, $messages, 3));
    },
    'ack: of all so far' => function (AMQPChannel $channel) {
        $connection = $channel->getConnection();
        $queue = queue($channel);
        publish($channel, $queue, '1', '2', '3');
        $channel->basic_get($queue);
        $channel->basic_get($queue)->ack(true);
        $channel->close();
        equal(['3'], bodies($connection->channel(), $queue));
    },
    'nack: puts all so far back in their place' => function (AMQPChannel $channel) {
        $queue = queue($channel);
        publish($channel, $queue, '1', '2', '3');
        $channel->basic_get($queue);
        $channel->basic_get($queue)->nack(true, true);
        equal(true, $channel->basic_get($queue, true)->isRedelivered());
        equal(['2', '3'], bodies($channel, $queue));
    },
    'reject: to a dead-letter exchange' => function (AMQPChannel $channel) {
        $dead = queue($channel);
        $queue = queue($channel, ['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => $dead]);
        publish($channel, $queue, 'bad');
        $channel->basic_get($queue)->reject(false);
        $deaths = consume($channel, $dead);
        equal(['bad'], await($channel, $deaths, 1));
        $death = $deaths[0]->get('application_headers')->getNativeData()['x-death'][0];
        equal([$queue, 'rejected', 1], [$death['queue'], $death['reason'], $death['count']]);
    },
    'recover: brings back what is not acknowledged' => function (AMQPChannel $channel) {
        $queue = queue($channel);
        publish($channel, $queue, '1');
        $messages = consume($channel, $queue);
        await($channel, $messages, 1);
        $channel->basic_recover(true);
        await($channel, $messages, 2);
        equal([false, true], [$messages[0]->isRedelivered(), $messages[1]->isRedelivered()]);
    },
    'tx: commits and rolls back' => function (AMQPChannel $channel) {
        $queue = queue($channel);
        $channel->tx_select();
        publish($channel, $queue, 'undone');
        $channel->tx_rollback();
        publish($channel, $queue, 'done');
        $channel->tx_commit();
        equal(['done'], bodies($channel, $queue));
    },
    'rpc: by reply-to' => function (AMQPChannel $channel) {
        [$requests, $replies] = [queue($channel), queue($channel)];
        $channel->basic_consume($requests, '', false, true, false, false, function ($request) use ($channel) {
            $reply = new AMQPMessage(strtoupper($request->getBody()), ['correlation_id' => $request->get('correlation_id')]);
            $channel->basic_publish($reply, '', $request->get('reply_to'));
        });
        $answers = consume($channel, $replies);
        $channel->basic_publish(new AMQPMessage('hello', ['reply_to' => $replies, 'correlation_id' => '42']), '', $requests);
        equal(['HELLO'], await($channel, $answers, 1));
        equal('42', $answers[0]->get('correlation_id'));
    },
    'errors: name what is missing, what differs and what is reserved' => function (AMQPChannel $channel) {
        $connection = $channel->getConnection();
        $differs = queue($channel, name: 'php.differs.' . bin2hex(random_bytes(8)));
        foreach ([
            [404, "NOT_FOUND - no queue 'nosuch' in vhost '/'", fn ($ch) => $ch->queue_declare('nosuch', true)],
            [404, "NOT_FOUND - no exchange 'nosuch' in vhost '/'", fn ($ch) => $ch->exchange_declare('nosuch', 'direct', true)],
            [406, "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '$differs' in vhost '/'",
                fn ($ch) => queue($ch, ['x-max-length' => 1], $differs)],
            [403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
                fn ($ch) => $ch->queue_declare('amq.mine')],
        ] as [$code, $text, $call]) {
            [$reply_code, $reply_text] = closed(fn () => $call($connection->channel()));
            equal([$code, $text], [$reply_code, substr($reply_text, 0, strlen($text))]);
        }
    },
    'reconnect: keeps what is durable' => function () {
        $connection = connect('CUT_PORT');
        $channel = $connection->channel();
        $queue = 'php.kept.' . bin2hex(random_bytes(8));
        $channel->queue_declare($queue, false, true, false, false);
        $channel->confirm_select();
        $channel->basic_publish(new AMQPMessage('kept', ['delivery_mode' => 2]), '', $queue);
        $channel->wait_for_pending_acks(20);
        $cutter = stream_socket_client('tcp://127.0.0.1:' . env('CUTTER_PORT'));
        equal('', stream_get_contents($cutter));
        try {
            $channel->queue_declare($queue, true);
            throw new Exception('the connection is still there');
        } catch (AMQPConnectionClosedException | AMQPIOException) {
            $connection->reconnect();
        }
        $channel = $connection->channel();
        equal(['kept'], bodies($channel, $queue));
        $channel->queue_delete($queue);
        $connection->close();
    },
];

if (getenv('AMQPS_URL')) {
    $scenarios['tls: with a certificate of the client'] = function () {
        $options = ['cafile' => env('TLS_CA'), 'local_cert' => env('TLS_CERTIFICATE'), 'local_pk' => env('TLS_KEY')];
        $connection = new AMQPSSLConnection('localhost', env('AMQPS_PORT'), 'guest', 'guest', '/', $options);
        $channel = $connection->channel();
        $queue = queue($channel);
        publish($channel, $queue, str_repeat('x', 300_000));
        equal(300_000, strlen($channel->basic_get($queue, true)->getBody()));
        $connection->close();
    };
    $scenarios['tls: with an unknown authority is refused by the client'] = function () {
        try {
            @new AMQPSSLConnection('localhost', env('AMQPS_PORT'), 'guest', 'guest', '/', ['verify_peer' => true]);
        } catch (AMQPIOException $error) {
            return;
        }
        throw new Exception('not refused');
    };
}

$number = 0;
$failed = 0;
foreach ($scenarios as $name => $play) {
    $number++;
    try {
        $connection = connect();
        $play($connection->channel());
        $connection->close();
        echo "ok $number - $name\n";
    } catch (Throwable $error) {
        $failed++;
        echo "not ok $number - $name\n", preg_replace('/^/m', '#   ', $error), "\n";
    }
}
echo "1..$number\n";
exit($failed ? 1 : 0);
