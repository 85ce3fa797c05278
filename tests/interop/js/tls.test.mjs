// The JavaScript clients over TLS, TLS first, with client certificates and over WebSocket; reconnecting over each.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import readline from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { wsconnect } from '@nats-io/nats-core'
import { connect } from '@nats-io/transport-node'
import { connect as connectLegacy } from 'nats'
import { connect as connectWs } from 'nats.ws'
import WebSocket from 'ws'

const program =
  process.env.NATTERJACK_SECURE_BROKER ?? fileURLToPath(new URL('../../../target/debug/examples/secure_broker', import.meta.url))

let broker, lines, about
before(async () => {
  broker = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] })
  lines = readline.createInterface({ input: broker.stdout })[Symbol.asyncIterator]()
  about = JSON.parse((await lines.next()).value)
  // Clients in browsers take what the browser trusts; here that is the suite's own authority, and compression is offered.
  const ca = readFileSync(about.ca)
  globalThis.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url, { ca, perMessageDeflate: true })
    }
  }
})
after(() => broker?.stdin.end())

async function disconnect() {
  broker.stdin.write('disconnect\n')
  await lines.next()
}

/** A message there and back, also after the connection was cut. */
async function check(open, kind, options = {}) {
  const servers = about[kind].replace(/^tls:/, 'nats:')
  const connection = await open({ servers, reconnectTimeWait: 50, maxReconnectAttempts: -1, ...options })
  const back = (async () => {
    for await (const status of connection.status()) if (status.type === 'reconnect') return
  })()
  const messages = connection.subscribe('a')[Symbol.asyncIterator]()
  for (const round of [1, 2]) {
    const payload = new Uint8Array(200_000).fill(round)
    connection.publish('a', payload)
    const { value } = await messages.next()
    assert.ok(Buffer.from(value.data).equals(Buffer.from(payload)), kind)
    if (round === 1) {
      await disconnect()
      await back
      await connection.flush()
    }
  }
  await connection.close()
}

const clients = [
  ['@nats-io/transport-node', connect],
  ['nats 2.29', connectLegacy],
]
for (const [name, open] of clients) {
  describe(name, { timeout: 60_000 }, () => {
    test('TLS after INFO', () => check(open, 'tls', { tls: { caFile: about.ca } }))
    test('TLS first', () => check(open, 'first', { tls: { caFile: about.ca, handshakeFirst: true } }))
    test('client certificates', async () => {
      await check(open, 'verify', { tls: { caFile: about.ca, certFile: about.cert, keyFile: about.key } })
      const without = { servers: about.verify.replace(/^tls:/, 'nats:'), tls: { caFile: about.ca }, reconnect: false }
      await assert.rejects(open(without))
    })
  })
}
for (const [name, open] of [
  ['@nats-io/nats-core', wsconnect],
  ['nats.ws 1.30', connectWs],
]) {
  describe(name, { timeout: 60_000 }, () => {
    test('WebSocket, compressed where the client can', () => check(open, 'ws'))
    test('WebSocket over TLS', () => check(open, 'wss'))
  })
}
