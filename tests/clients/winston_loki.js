// winston-loki pushes: protobuf and snappy (its default), JSON, one by one and in batches.
// usage: node winston_loki.js URL TOKEN COUNT      (the CA by NODE_EXTRA_CA_CERTS)
const { createLogger, format } = require('winston');
const LokiTransport = require('winston-loki');
const [host, token, count] = process.argv.slice(2);

async function send(mode, options, n) {
  const failures = [];
  const transport = new LokiTransport({
    host, basicAuth: `winston:${token}`, labels: { app: 'winston', mode }, format: format.simple(), timeout: 20000,
    gracefulShutdown: false, onConnectionError: (error) => failures.push(error), ...options,
  });
  const logger = createLogger({ transports: [transport] });
  for (let i = 0; i < n; i++) {
    const log = i % 2 ? logger.warn.bind(logger) : logger.info.bind(logger);
    log({ message: `winston ${mode} ${i} "quoted" \u00e9`, labels: { half: i < n / 2 ? 'first' : 'second' } });
  }
  await new Promise((resolve) => setImmediate(resolve));
  await transport.flush();
  logger.close();
  if (failures.length) throw failures[0];
}

(async () => {
  const n = Number(count);
  await send('proto', { interval: 1 }, n);
  await send('json', { interval: 1, json: true }, n);
  console.log('sent', 2 * n);
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
