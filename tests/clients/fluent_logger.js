// fluent-logger over mutual TLS: Message mode with acks, then batches in PackedForward and gzip.
// usage: node fluent_logger.js HOST PORT CA CERT KEY COUNT
const fs = require('fs');
const logger = require('fluent-logger');
const [host, port, ca, cert, key, count] = process.argv.slice(2);

function send(prefix, options, first, n) {
  return new Promise((resolve, reject) => {
    const sender = logger.createFluentSender(prefix, {
      host, port: Number(port), timeout: 10.0, reconnectInterval: 500, requireAckResponse: true, ackResponseTimeout: 20000,
      tls: true,
      tlsOptions: { ca: fs.readFileSync(ca), cert: fs.readFileSync(cert), key: fs.readFileSync(key) },
      ...options,
    });
    sender.on('error', reject);
    let left = n;
    for (let i = first; i < first + n; i++)
      sender.emit('req', { message: `fluent-logger ${prefix} ${i}`, n: i, ok: true, nested: { a: [1, 2] } }, (error) => {
        if (error) reject(error);
        else if (--left === 0) sender.end(null, null, resolve);
      });
  });
}

(async () => {
  const n = Number(count);
  await send('message', {}, 0, n);
  await send('packed', { eventMode: 'PackedForward', flushInterval: 50 }, 0, n);
  await send('gzip', { eventMode: 'CompressedPackedForward', flushInterval: 50 }, 0, n);
  console.log('sent', 3 * n);
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
