// @cloudamqp/amqp-client, over TCP as in Node.js and over WebSockets as in a browser.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterEach, test } from "node:test";
import { AMQPClient, AMQPSession } from "@cloudamqp/amqp-client";
import { AMQPWebSocketClient } from "@cloudamqp/amqp-client/amqp-websocket-client";
import WebSocket from "ws";
import { cut, Things } from "./network.mjs";

const { env } = process;
// Browsers have it, and Node.js from version 22 on.
globalThis.WebSocket = WebSocket;

const transports = [["tcp", () => new AMQPClient(env.AMQP_URL)]];
if (env.WS_URL) transports.push(["ws", () => new AMQPWebSocketClient({ url: env.WS_URL })]);

let opened = [];

async function connect(client) {
  client.logger = undefined;
  opened.push(client);
  return client.connect();
}

afterEach(async () => {
  for (const client of opened) if (!client.closed) await client.close();
  opened = [];
});

const text = (message) => message?.bodyString();
const queue = async (channel, args = {}) => (await channel.queueDeclare("", { exclusive: true }, args)).name;

async function exchange(channel, type) {
  const name = `cloudamqp.${type}.${randomUUID()}`;
  await channel.exchangeDeclare(name, type, { autoDelete: true, durable: false });
  return name;
}

async function bodies(channel, queue) {
  const found = [];
  for (let message; (message = await channel.basicGet(queue)); ) found.push(text(message));
  return found;
}

async function consume(channel, queue, options = {}) {
  const messages = new Things();
  const consumer = await channel.basicConsume(queue, options, messages.push);
  // Fails when the queue is deleted or the connection ends; only some scenarios care.
  messages.ended = consumer.wait().then(() => "cancelled", (error) => error);
  return messages;
}

for (const [transport, client] of transports) {
  const scenario = (name, play) =>
    test(`${name} over ${transport}`, async () => {
      const connection = await connect(client());
      await play(await connection.channel(), connection);
    });

  scenario("connect: and close in order", async (channel, connection) => {
    await channel.close();
    await connection.close();
    assert.ok(connection.closed);
  });

  scenario("connect: with a wrong password is refused", async (_, connection) => {
    const stranger = client();
    stranger.password = "wrong";
    await assert.rejects(stranger.connect());
    assert.ok(!connection.closed);
  });

  scenario("declare: tells what is in the queue", async (channel) => {
    const name = await queue(channel);
    await channel.confirmSelect();
    await channel.basicPublish("", name, "1");
    const there = await channel.queueDeclare(name, { passive: true });
    assert.deepEqual([there.messageCount, there.consumerCount], [1, 0]);
    assert.equal((await channel.queuePurge(name)).messageCount, 1);
    assert.equal((await channel.queueDelete(name)).messageCount, 0);
  });

  scenario("get: keeps every property", async (channel) => {
    const name = await queue(channel);
    const properties = {
      contentType: "text/plain", contentEncoding: "utf-8", deliveryMode: 2, priority: 3, correlationId: "c", replyTo: "r",
      expiration: "60000", messageId: "m", timestamp: new Date(1_700_000_000_000), type: "t", userId: "guest", appId: "a",
      headers: { n: 1, yes: true, none: null, list: [1, "a"], table: { deep: "er" } },
    };
    await channel.basicPublish("", name, "x".repeat(300_000), properties);
    const message = await channel.basicGet(name);
    assert.deepEqual({ ...message.properties }, properties);
    assert.equal(message.bodySize, 300_000);
    assert.equal(await channel.basicGet(name), null);
  });

  scenario("direct: goes by the key", async (channel) => {
    const [name, first, second] = [await exchange(channel, "direct"), await queue(channel), await queue(channel)];
    await channel.queueBind(first, name, "red");
    await channel.queueBind(second, name, "blue");
    for (const key of ["red", "green"]) await channel.basicPublish(name, key, key);
    assert.deepEqual([await bodies(channel, first), await bodies(channel, second)], [["red"], []]);
  });

  scenario("fanout: goes to all, also from another exchange", async (channel) => {
    const [source, name] = [await exchange(channel, "direct"), await exchange(channel, "fanout")];
    const [first, second] = [await queue(channel), await queue(channel)];
    await channel.exchangeBind(name, source, "on");
    for (const queue of [first, second]) await channel.queueBind(queue, name, "");
    await channel.basicPublish(source, "on", "all");
    assert.deepEqual([await bodies(channel, first), await bodies(channel, second)], [["all"], ["all"]]);
  });

  scenario("topic: goes by patterns", async (channel) => {
    const [name, first, second] = [await exchange(channel, "topic"), await queue(channel), await queue(channel)];
    await channel.queueBind(first, name, "*.error");
    await channel.queueBind(second, name, "disk.#");
    for (const key of ["disk.error", "disk", "net.error"]) await channel.basicPublish(name, key, key);
    assert.deepEqual(await bodies(channel, first), ["disk.error", "net.error"]);
    assert.deepEqual(await bodies(channel, second), ["disk.error", "disk"]);
  });

  scenario("headers: go by all or any", async (channel) => {
    const [name, first, second] = [await exchange(channel, "headers"), await queue(channel), await queue(channel)];
    const wanted = { os: "linux", cores: 8 };
    await channel.queueBind(first, name, "", { "x-match": "all", ...wanted });
    await channel.queueBind(second, name, "", { "x-match": "any", ...wanted });
    await channel.basicPublish(name, "", "both", { headers: wanted });
    await channel.basicPublish(name, "", "one", { headers: { cores: 8 } });
    assert.deepEqual([await bodies(channel, first), await bodies(channel, second)], [["both"], ["both", "one"]]);
  });

  scenario("confirm: counts the messages, and is negative where the queue is full", async (channel) => {
    const name = await queue(channel, { "x-max-length": 1, "x-overflow": "reject-publish" });
    await channel.confirmSelect();
    assert.equal(await channel.basicPublish("", name, "fits"), 1);
    await assert.rejects(channel.basicPublish("", name, "does not"), /rejected/);
  });

  scenario("return: of what goes nowhere", async (channel) => {
    const returned = new Things();
    channel.onReturn = returned.push;
    await channel.basicPublish("", "nowhere", "lost", {}, true);
    const message = await returned.next();
    assert.deepEqual([message.replyCode, message.replyText, text(message)], [312, "NO_ROUTE", "lost"]);
  });

  scenario("qos: holds back what is not acknowledged", async (channel) => {
    const name = await queue(channel);
    for (const body of ["1", "2", "3"]) await channel.basicPublish("", name, body);
    await channel.prefetch(2);
    const messages = await consume(channel, name, { noAck: false });
    const [first] = await messages.take(2);
    await channel.queueDeclare(name, { passive: true });
    assert.equal(messages.length, 0);
    await first.ack();
    assert.equal(text(await messages.next()), "3");
  });

  scenario("ack: of all so far", async (channel, connection) => {
    const name = await queue(channel);
    for (const body of ["1", "2", "3"]) await channel.basicPublish("", name, body);
    await channel.basicGet(name, { noAck: false });
    await (await channel.basicGet(name, { noAck: false })).ack(true);
    await channel.close();
    assert.deepEqual(await bodies(await connection.channel(), name), ["3"]);
  });

  scenario("nack: puts back in place", async (channel) => {
    const name = await queue(channel);
    for (const body of ["1", "2"]) await channel.basicPublish("", name, body);
    await (await channel.basicGet(name, { noAck: false })).nack(true);
    const again = await channel.basicGet(name);
    assert.deepEqual([text(again), again.redelivered], ["1", true]);
  });

  scenario("reject: throws away", async (channel) => {
    const name = await queue(channel);
    for (const body of ["1", "2"]) await channel.basicPublish("", name, body);
    await (await channel.basicGet(name, { noAck: false })).reject(false);
    assert.deepEqual(await bodies(channel, name), ["2"]);
  });

  scenario("recover: brings back what is not acknowledged", async (channel) => {
    const name = await queue(channel);
    await channel.basicPublish("", name, "1");
    const messages = await consume(channel, name, { noAck: false });
    assert.equal((await messages.next()).redelivered, false);
    await channel.basicRecover(true);
    assert.equal((await messages.next()).redelivered, true);
  });

  scenario("tx: commits and rolls back", async (channel) => {
    const name = await queue(channel);
    await channel.txSelect();
    await channel.basicPublish("", name, "undone");
    await channel.txRollback();
    await channel.basicPublish("", name, "done");
    await channel.txCommit();
    assert.deepEqual(await bodies(channel, name), ["done"]);
  });

  scenario("rpc: by direct reply-to", async (channel, connection) => {
    const requests = await queue(channel);
    const server = await connection.channel();
    await server.basicConsume(requests, { noAck: true }, (request) =>
      server.basicPublish("", request.properties.replyTo, text(request).toUpperCase(), {
        correlationId: request.properties.correlationId,
      }));
    const answers = await consume(channel, "amq.rabbitmq.reply-to", { noAck: true });
    await channel.basicPublish("", requests, "hello", { replyTo: "amq.rabbitmq.reply-to", correlationId: "42" });
    const answer = await answers.next();
    assert.deepEqual([text(answer), answer.properties.correlationId], ["HELLO", "42"]);
  });

  scenario("consumer: ends when its queue is deleted", async (channel, connection) => {
    const name = await queue(channel);
    const messages = await consume(channel, name);
    await (await connection.channel()).queueDelete(name);
    assert.match(String(await messages.ended), /cancelled/i);
  });

  scenario("errors: close the channel and say why", async (channel, connection) => {
    for (const [reason, call] of [
      ["NOT_FOUND - no queue 'nosuch' in vhost '/'", (on) => on.queueDeclare("nosuch", { passive: true })],
      ["NOT_FOUND - no exchange 'nosuch' in vhost '/'", (on) => on.exchangeDeclare("nosuch", "direct", { passive: true })],
      ["ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'", (on) => on.queueDeclare("amq.mine")],
    ]) {
      await assert.rejects(call(await connection.channel()), (error) => error.message.includes(reason));
    }
    await queue(channel);
  });
}

test("reconnect: a session comes back by itself with its consumers", async () => {
  const connected = new Things();
  const session = await AMQPSession.connect(env.CUT_URL, {
    reconnectInterval: 50, onconnect: connected.push, logger: null,
  });
  await connected.next();
  const name = `cloudamqp.kept.${randomUUID()}`;
  const queue = await session.queue(name, { durable: true, autoDelete: false });
  const messages = new Things();
  await queue.subscribe({ noAck: true }, messages.push);
  await cut();
  await connected.next();
  await queue.publish("after");
  assert.equal(text(await messages.next()), "after");
  await queue.delete();
  await session.stop();
});

if (env.AMQPS_URL) {
  test("tls: with a certificate of the client", async () => {
    const files = { ca: readFileSync(env.TLS_CA), cert: readFileSync(env.TLS_CERTIFICATE), key: readFileSync(env.TLS_KEY) };
    const connection = await connect(new AMQPClient(env.AMQPS_URL, files));
    const channel = await connection.channel();
    const name = await queue(channel);
    await channel.basicPublish("", name, "secret");
    assert.deepEqual(await bodies(channel, name), ["secret"]);
  });

  test("tls: with an unknown authority is refused by the client", async () => {
    await assert.rejects(new AMQPClient(env.AMQPS_URL).connect(), /certificate/);
  });
}
