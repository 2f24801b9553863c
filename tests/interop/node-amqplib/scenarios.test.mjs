// amqplib, the client most used from Node.js.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, afterEach, beforeEach, test } from "node:test";
import amqp from "amqplib";
import { cut, Things } from "./network.mjs";

const { env } = process;
let opened, connection, channel;

async function connect(url = env.AMQP_URL, options = {}) {
  const connection = await amqp.connect(url, options);
  connection.on("error", () => {});
  opened.push(connection);
  return connection;
}

async function open(kind = "createChannel") {
  const channel = await connection[kind]();
  channel.failed = new Promise((resolve) => channel.on("error", resolve));
  return channel;
}

const queue = async (options = {}) => (await channel.assertQueue("", { exclusive: true, ...options })).queue;

async function exchange(kind) {
  return (await channel.assertExchange(`node.${kind}.${randomUUID()}`, kind, { autoDelete: true })).exchange;
}

const publish = (queue, ...bodies) => bodies.forEach((body) => channel.sendToQueue(queue, Buffer.from(body)));

/** The bodies of everything that is ready. */
async function bodies(queue, on = channel) {
  const found = [];
  for (let message; (message = await on.get(queue, { noAck: true })); ) found.push(message.content.toString());
  return found;
}

async function consume(queue, options = {}) {
  const messages = new Things();
  await channel.consume(queue, messages.push, options);
  return messages;
}

beforeEach(async () => {
  opened = [];
  connection = await connect();
  channel = await open();
});

afterEach(async () => {
  // Those that the broker or the network has closed are closed already.
  for (const connection of opened) await connection.close().catch(() => {});
});

// The library leaves the socket of a refused login open, and so may the broker: Node would wait for it.
after(() => setTimeout(() => process.exit(), 1000).unref());

test("connect: and learn what the server can", () => {
  const { capabilities } = connection.connection.serverProperties;
  for (const capability of ["publisher_confirms", "exchange_exchange_bindings", "basic.nack"]) {
    assert.equal(capabilities[capability], true, capability);
  }
});

test("connect: with a wrong password is refused", async () => {
  await assert.rejects(connect(env.AMQP_URL.replace("guest:guest", "guest:wrong")), /ACCESS.REFUSED/);
});

test("declare: tells what is in the queue", async () => {
  const confirming = await open("createConfirmChannel");
  const name = `node.${randomUUID()}`;
  assert.deepEqual(await confirming.assertQueue(name, { exclusive: true }), {
    queue: name, messageCount: 0, consumerCount: 0,
  });
  confirming.sendToQueue(name, Buffer.from("1"));
  await confirming.waitForConfirms();
  assert.equal((await channel.checkQueue(name)).messageCount, 1);
  assert.equal((await channel.purgeQueue(name)).messageCount, 1);
  assert.equal((await channel.deleteQueue(name)).messageCount, 0);
});

test("get: keeps every property and header", async () => {
  const name = await queue();
  const properties = {
    contentType: "text/plain", contentEncoding: "utf-8", deliveryMode: 2, priority: 3, correlationId: "c", replyTo: "r",
    expiration: "60000", messageId: "m", timestamp: 1_700_000_000, type: "t", userId: "guest", appId: "a",
    headers: { n: 1, big: 2 ** 40, float: 1.5, yes: true, none: null, list: [1, "a", { deep: "er" }] },
  };
  channel.sendToQueue(name, Buffer.from("body"), properties);
  const message = await channel.get(name, { noAck: true });
  for (const [property, value] of Object.entries(properties)) assert.deepEqual(message.properties[property], value);
  assert.deepEqual([message.content.toString(), message.fields.messageCount], ["body", 0]);
  assert.equal(await channel.get(name), false);
});

test("direct: goes by the key", async () => {
  const [name, first, second] = [await exchange("direct"), await queue(), await queue()];
  await channel.bindQueue(first, name, "red");
  await channel.bindQueue(second, name, "blue");
  for (const key of ["red", "green"]) channel.publish(name, key, Buffer.from(key));
  assert.deepEqual([await bodies(first), await bodies(second)], [["red"], []]);
});

test("fanout: goes to all, also from another exchange", async () => {
  const [source, name, first, second] = [await exchange("direct"), await exchange("fanout"), await queue(), await queue()];
  await channel.bindExchange(name, source, "on");
  for (const queue of [first, second]) await channel.bindQueue(queue, name, "");
  channel.publish(source, "on", Buffer.from("all"));
  assert.deepEqual([await bodies(first), await bodies(second)], [["all"], ["all"]]);
});

test("topic: goes by patterns", async () => {
  const [name, first, second] = [await exchange("topic"), await queue(), await queue()];
  await channel.bindQueue(first, name, "*.error");
  await channel.bindQueue(second, name, "disk.#");
  for (const key of ["disk.error", "disk", "net.error"]) channel.publish(name, key, Buffer.from(key));
  assert.deepEqual([await bodies(first), await bodies(second)], [["disk.error", "net.error"], ["disk.error", "disk"]]);
});

test("headers: go by all or any", async () => {
  const [name, first, second] = [await exchange("headers"), await queue(), await queue()];
  const wanted = { os: "linux", cores: 8 };
  await channel.bindQueue(first, name, "", { "x-match": "all", ...wanted });
  await channel.bindQueue(second, name, "", { "x-match": "any", ...wanted });
  for (const [body, headers] of [["both", wanted], ["one", { cores: 8 }], ["none", {}]]) {
    channel.publish(name, "", Buffer.from(body), { headers });
  }
  assert.deepEqual([await bodies(first), await bodies(second)], [["both"], ["both", "one"]]);
});

test("confirm: for every message", async () => {
  channel = await open("createConfirmChannel");
  const name = await queue();
  const confirmed = new Things();
  for (let n = 0; n < 100; n++) {
    channel.sendToQueue(name, Buffer.from(`${n}`), { persistent: true }, (refused) => confirmed.push(refused));
  }
  await channel.waitForConfirms();
  assert.ok((await confirmed.take(100)).every((refused) => !refused));
});

test("confirm: is negative where the queue is full", async () => {
  channel = await open("createConfirmChannel");
  const name = await queue({ arguments: { "x-max-length": 1, "x-overflow": "reject-publish" } });
  publish(name, "fits", "does not");
  await assert.rejects(channel.waitForConfirms(), /nacked/);
});

test("return: of what goes nowhere, before its confirm", async () => {
  channel = await open("createConfirmChannel");
  const seen = new Things();
  channel.on("return", (message) => seen.push([message.fields.replyCode, message.fields.replyText, message.content.toString()]));
  channel.publish("", "nowhere", Buffer.from("lost"), { mandatory: true }, (refused) => seen.push(refused));
  assert.deepEqual(await seen.take(2), [[312, "NO_ROUTE", "lost"], null]);
});

test("qos: holds back what is not acknowledged", async () => {
  const name = await queue();
  publish(name, "1", "2", "3");
  await channel.prefetch(2);
  const messages = await consume(name);
  const [first] = await messages.take(2);
  await channel.checkQueue(name);
  assert.equal(messages.length, 0);
  channel.ack(first);
  assert.equal((await messages.next()).content.toString(), "3");
});

test("ack: of all so far", async () => {
  const name = await queue();
  publish(name, "1", "2", "3");
  await channel.get(name);
  channel.ack(await channel.get(name), true);
  await channel.close();
  channel = await open();
  assert.deepEqual(await bodies(name), ["3"]);
});

test("nack: puts all so far back in their place", async () => {
  const name = await queue();
  publish(name, "1", "2", "3");
  await channel.get(name);
  channel.nack(await channel.get(name), true, true);
  const again = await channel.get(name, { noAck: true });
  assert.deepEqual([again.content.toString(), again.fields.redelivered], ["1", true]);
  assert.deepEqual(await bodies(name), ["2", "3"]);
});

test("reject: to a dead-letter exchange", async () => {
  const dead = await queue();
  const name = await queue({ deadLetterExchange: "", deadLetterRoutingKey: dead });
  const deaths = await consume(dead);
  publish(name, "bad");
  channel.reject(await channel.get(name), false);
  const [death] = (await deaths.next()).properties.headers["x-death"];
  assert.deepEqual([death.queue, death.reason, death.count], [name, "rejected", 1]);
});

test("recover: brings back what is not acknowledged", async () => {
  const name = await queue();
  publish(name, "1");
  const messages = await consume(name);
  assert.equal((await messages.next()).fields.redelivered, false);
  await channel.recover();
  assert.equal((await messages.next()).fields.redelivered, true);
});

test("rpc: by reply-to", async () => {
  const [requests, replies] = [await queue(), await queue()];
  await channel.consume(requests, ({ content, properties }) => {
    channel.sendToQueue(properties.replyTo, Buffer.from(content.toString().toUpperCase()), {
      correlationId: properties.correlationId,
    });
  }, { noAck: true });
  const answers = await consume(replies, { noAck: true });
  channel.sendToQueue(requests, Buffer.from("hello"), { replyTo: replies, correlationId: "42" });
  const answer = await answers.next();
  assert.deepEqual([answer.content.toString(), answer.properties.correlationId], ["HELLO", "42"]);
});

test("rpc: by direct reply-to", async () => {
  const requests = await queue();
  const answers = await consume("amq.rabbitmq.reply-to", { noAck: true });
  const server = await open();
  await server.consume(requests, ({ properties }) => {
    server.sendToQueue(properties.replyTo, Buffer.from("answer"));
  }, { noAck: true });
  channel.sendToQueue(requests, Buffer.from("hello"), { replyTo: "amq.rabbitmq.reply-to" });
  assert.equal((await answers.next()).content.toString(), "answer");
});

test("consumer: gets null when its queue is deleted", async () => {
  const name = await queue();
  const messages = await consume(name);
  await (await open()).deleteQueue(name);
  assert.equal(await messages.next(), null);
});

test("errors: name what is missing, what differs and what is reserved", async () => {
  const differs = `node.${randomUUID()}`;
  await channel.assertQueue(differs, { exclusive: true });
  for (const [code, text, call] of [
    [404, "NOT_FOUND - no queue 'nosuch' in vhost '/'", (on) => on.checkQueue("nosuch")],
    [404, "NOT_FOUND - no exchange 'nosuch' in vhost '/'", (on) => on.checkExchange("nosuch")],
    [406, `PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '${differs}' in vhost '/'`,
      (on) => on.assertQueue(differs, { exclusive: true, maxLength: 1 })],
    [403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'", (on) => on.assertQueue("amq.mine")],
  ]) {
    const failing = await open();
    await assert.rejects(call(failing), (error) => error.code === code && error.message.includes(text));
  }
  assert.equal((await channel.checkQueue(differs)).messageCount, 0);
});

test("errors: of a delivery tag that never was", async () => {
  channel.ack({ fields: { deliveryTag: 7 } });
  const error = await channel.failed;
  assert.equal(error.code, 406);
  assert.match(error.message, /PRECONDITION_FAILED - unknown delivery tag 7/);
});

test("reconnect: finds what is durable", async () => {
  const lossy = await connect(env.CUT_URL);
  const closed = new Promise((resolve) => lossy.on("close", resolve));
  const sender = await lossy.createConfirmChannel();
  const name = `node.kept.${randomUUID()}`;
  await sender.assertQueue(name, { durable: true });
  sender.sendToQueue(name, Buffer.from("kept"), { persistent: true });
  await sender.waitForConfirms();
  await cut();
  await closed;
  channel = await (await connect(env.CUT_URL)).createChannel();
  assert.deepEqual(await bodies(name), ["kept"]);
  await channel.deleteQueue(name);
});

if (env.AMQPS_URL) {
  test("tls: with a certificate of the client", async () => {
    const ca = [readFileSync(env.TLS_CA)];
    const secure = await connect(env.AMQPS_URL, { ca, cert: readFileSync(env.TLS_CERTIFICATE), key: readFileSync(env.TLS_KEY) });
    channel = await secure.createChannel();
    const name = await queue();
    publish(name, "x".repeat(300_000));
    assert.equal((await channel.get(name, { noAck: true })).content.length, 300_000);
  });

  test("tls: with an unknown authority is refused by the client", async () => {
    await assert.rejects(connect(env.AMQPS_URL), { code: /UNABLE_TO|SELF_SIGNED/ });
  });
}
