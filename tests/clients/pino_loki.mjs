// pino-loki pushes JSON in batches, with labels from the records and structured metadata.
// usage: node pino_loki.mjs URL TOKEN COUNT      (the CA by NODE_EXTRA_CA_CERTS)
import { once } from 'node:events';
import pino from 'pino';
import { pinoLoki } from 'pino-loki';

const [host, token, count] = process.argv.slice(2);
const stream = pinoLoki({
  host, basicAuth: { username: 'pino', password: token }, batching: { interval: 1 }, labels: { app: 'pino' },
  propsToLabels: ['zone'], structuredMetaKey: 'meta', silenceErrors: false, convertArrays: false,
});
const logger = pino({ base: null }, stream);
for (let i = 0; i < Number(count); i++)
  logger[i % 2 ? 'error' : 'info']({ zone: i % 3 === 0 ? 'a' : 'b', n: i, meta: { trace: `t${i}` } }, `pino ${i}`);
stream.end();
await once(stream, 'close');
console.log('sent', count);
process.exit(0);
