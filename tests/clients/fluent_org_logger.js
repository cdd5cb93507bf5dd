// @fluent-org/logger over mutual TLS: all four event modes, each with acks.
// usage: node fluent_org_logger.js HOST PORT CA CERT KEY COUNT
const fs = require('fs');
const { FluentClient } = require('@fluent-org/logger');
const [host, port, ca, cert, key, count] = process.argv.slice(2);

async function send(mode, n) {
  const client = new FluentClient(`org.${mode}`, {
    eventMode: mode,
    ack: { ackTimeout: 20000 },
    socket: {
      host, port: Number(port), timeout: 10000,
      tls: { ca: fs.readFileSync(ca), cert: fs.readFileSync(cert), key: fs.readFileSync(key), host, port: Number(port) },
    },
  });
  const all = [];
  for (let i = 0; i < n; i++)
    all.push(client.emit('req', { message: `fluent-org ${mode} ${i}`, n: i, level: i % 2 ? 'warn' : 'info' }));
  await Promise.all(all);
  await client.shutdown();
}

(async () => {
  for (const mode of ['Message', 'Forward', 'PackedForward', 'CompressedPackedForward'])
    await send(mode, Number(count));
  console.log('sent', 4 * Number(count));
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
