// emit_headers.js URL EXCHANGE - one message with every kind of header and property that amqplib can send, confirmed.
//
// The body is no JSON. What the fields hold is known to tests/integration/test_emitters_wire.py.
"use strict";

const amqp = require("amqplib");

const SECONDS_MAX = 30;

async function main(url, exchange) {
    const connection = await amqp.connect(url, { timeout: SECONDS_MAX * 1000 });
    const channel = await connection.createConfirmChannel();
    channel.publish(exchange, "wire.headers", Buffer.from([0xff, 0x00, 0xfe]), {
        appId: "node",
        contentType: "application/octet-stream",
        contentEncoding: "binary",
        persistent: true,
        priority: 4,
        correlationId: "c-1",
        replyTo: "replies",
        expiration: "60000",
        messageId: "m-1",
        timestamp: 1767225600,
        type: "order.paid",
        headers: {
            "x-tenant": "ä42",
            small: -7,
            large: 9007199254740991,
            int8: { "!": "int8", value: -128 },
            int16: { "!": "int16", value: 32767 },
            int32: { "!": "int32", value: -2147483648 },
            int64: { "!": "int64", value: 1099511627776 },
            yes: true,
            no: false,
            none: null,
            ratio: 1.5,
            at: { "!": "timestamp", value: 1767225600 },
            bytes: Buffer.from("text"),
            raw: Buffer.from([0xff, 0xfe]),
            outer: { inner: { id: 17, kind: "deep" } },
            list: [{ id: 7 }, { id: 9 }, { other: 1 }],
            empty: [],
        },
    });
    await channel.waitForConfirms();
    await connection.close();
}

main(process.argv[2], process.argv[3]).catch((error) => {
    console.error(error);
    process.exit(1);
});
