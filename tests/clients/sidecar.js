// Applications beside a collector: fluent-logger and @fluent-org/logger, by a unix socket and by loopback, in every mode
// they have, each with acks.
// usage: node sidecar.js PATH PORT COUNT
const logger = require('fluent-logger');
const { FluentClient } = require('@fluent-org/logger');
const [path, port, count] = process.argv.slice(2);

function fluentLogger(prefix, where, options, n) {
  return new Promise((resolve, reject) => {
    const sender = logger.createFluentSender(prefix, {
      ...where, timeout: 10.0, reconnectInterval: 500, requireAckResponse: true, ackResponseTimeout: 20000, ...options,
    });
    sender.on('error', reject);
    let left = n;
    for (let i = 0; i < n; i++)
      sender.emit('req', { message: `fluent-logger ${prefix} ${i}`, n: i, nested: { a: [1, 2] } }, (error) => {
        if (error) reject(error);
        else if (--left === 0) sender.end(null, null, resolve);
      });
  });
}

async function fluentOrg(mode, where, n) {
  const client = new FluentClient(`org.${mode}`, { eventMode: mode, ack: { ackTimeout: 20000 }, socket: { ...where, timeout: 10000 } });
  const all = [];
  for (let i = 0; i < n; i++)
    all.push(client.emit('req', { message: `fluent-org ${mode} ${i}`, level: i % 2 ? 'warn' : 'info' }));
  await Promise.all(all);
  await client.shutdown();
}

(async () => {
  const n = Number(count), tcp = { host: '127.0.0.1', port: Number(port) };
  await fluentLogger('message', { path }, {}, n);
  await fluentLogger('packed', tcp, { eventMode: 'PackedForward', flushInterval: 50 }, n);
  await fluentLogger('gzip', { path }, { eventMode: 'CompressedPackedForward', flushInterval: 50 }, n);
  for (const mode of ['Message', 'Forward', 'PackedForward', 'CompressedPackedForward'])
    await fluentOrg(mode, mode === 'Message' ? tcp : { path }, n);
  console.log('sent', 7 * n);
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
