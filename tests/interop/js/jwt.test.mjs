// Stock JavaScript clients log in with credentials files, and one of them is the auth service that the broker asks.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import readline from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as nkeys from '@nats-io/nkeys'
import { connect, credsAuthenticator, jwtAuthenticator } from '@nats-io/transport-node'
import * as legacy from 'nats'

const program = process.env.NATTERJACK_CREDENTIALS ?? fileURLToPath(new URL('../../../target/debug/examples/credentials', import.meta.url))
const bytes = (text) => new TextEncoder().encode(text)
const text = (raw) => new TextDecoder().decode(raw)
const base64url = (raw) => Buffer.from(raw).toString('base64url')

/** Starts the broker in a mode (tests/examples/credentials.rs). */
async function start(mode) {
  const child = spawn(program, [mode], { stdio: ['pipe', 'pipe', 'inherit'] })
  const { value } = await readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
  return { ...JSON.parse(value), stop: () => child.stdin.end() }
}

/** Signs claims the way every NATS tool does. */
function sign(claims, pair) {
  claims = { jti: '', iat: Math.floor(Date.now() / 1000), iss: pair.getPublicKey(), ...claims }
  claims.jti = createHash('sha256').update(JSON.stringify(claims)).digest('base64url')
  const signed = `${base64url('{"typ":"JWT","alg":"ed25519-nkey"}')}.${base64url(JSON.stringify(claims))}`
  return `${signed}.${base64url(pair.sign(bytes(signed)))}`
}

const read = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString())

describe('operator mode', { timeout: 60_000 }, () => {
  let broker
  before(async () => { broker = await start('operator') })
  after(() => broker.stop())

  const clients = [
    ['@nats-io/transport-node', connect, credsAuthenticator],
    ['nats', legacy.connect, legacy.credsAuthenticator],
  ]
  for (const [name, open, authenticator] of clients) {
    test(`${name} logs in with a credentials file`, async () => {
      const client = await open({ servers: broker.nats, authenticator: authenticator(bytes(broker.credentials)) })
      const subscription = client.subscribe('greet', { max: 1 })
      client.publish('greet', 'hello')
      for await (const message of subscription) assert.equal(message.string(), 'hello')
      await client.close()
    })

    test(`${name} is refused where nobody signed`, async () => {
      await assert.rejects(open({ servers: broker.nats, authenticator: authenticator(bytes(broker.stranger)) }), /authorization/i)
    })

    test(`${name} hears that its time is over`, async () => {
      const client = await open({ servers: broker.nats, reconnect: false, authenticator: authenticator(bytes(broker.short)) }).catch((error) => error)
      // Whoever comes after the three seconds that it is good for is refused instead.
      if (client instanceof Error) return assert.match(client.message, /authorization|expired/i)
      assert.match(String(await client.closed()), /expired/i)
    })
  }

  test('a bearer needs no key', async () => {
    const client = await connect({ servers: broker.nats, authenticator: jwtAuthenticator(broker.bearer) })
    await client.flush()
    await client.close()
  })

  test('a scoped user has the permissions of its scope', async () => {
    const client = await connect({ servers: broker.nats, authenticator: credsAuthenticator(bytes(broker.scoped)) })
    const subscription = client.subscribe('me.carol.>', { max: 1 })
    client.publish('me.carol.x', 'yes')
    for await (const message of subscription) assert.equal(message.string(), 'yes')
    await assert.rejects(client.request('me.bob.x', '', { timeout: 5000 }), /permission/i)
    await client.close()
  })
})

for (const mode of ['callout', 'sealed-callout']) {
  describe(mode, { timeout: 60_000 }, () => {
    let broker, service
    const asked = []

    before(async () => {
      broker = await start(mode)
      service = await connect({ servers: broker.nats, user: 'auth', pass: 'secret' })
      const issuer = nkeys.fromSeed(bytes(broker.issuer))
      const curve = nkeys.fromCurveSeed(bytes(broker.curve))
      service.subscribe('$SYS.REQ.USER.AUTH', { queue: 'auth', callback: (_, message) => answer(message, issuer, curve) })
      await service.flush()
    })
    after(async () => {
      await service.close()
      broker.stop()
    })

    /** Lets in whoever has the token `good-NAME`, as NAME, and lets it publish below `of.NAME`. */
    function answer(message, issuer, curve) {
      const sender = message.headers?.get('Nats-Server-Xkey')
      assert.equal(Boolean(sender), mode === 'sealed-callout')
      const request = read(text(sender ? curve.open(message.data, sender) : message.data))
      asked.push(request)
      const { server_id: server, user_nkey: key, connect_opts: options } = request.nats
      const name = /^good-(\w+)$/.exec(options.auth_token ?? '')?.[1]
      const user = name && sign({
        sub: key, aud: broker.account, name,
        nats: { pub: { allow: [`of.${name}.>`] }, sub: {}, subs: -1, data: -1, payload: -1, type: 'user', version: 2 },
      }, issuer)
      const response = sign({
        sub: key, aud: server.id,
        nats: { ...(user ? { jwt: user } : { error: 'unknown token' }), type: 'authorization_response', version: 2 },
      }, issuer)
      message.respond(sender ? curve.seal(bytes(response), sender) : response)
    }

    test('lets in whom the service knows, with its permissions', async () => {
      const client = await connect({ servers: broker.nats, token: 'good-bob', name: 'a browser' })
      const subscription = client.subscribe('of.bob.*', { max: 1 })
      client.publish('of.bob.x', 'yes')
      for await (const message of subscription) assert.equal(message.string(), 'yes')
      await assert.rejects(client.request('of.alice.x', '', { timeout: 5000 }), /permission/i)
      await client.close()
      const request = asked.at(-1)
      assert.equal(request.nats.client_info.name, 'a browser')
      assert.equal(request.nats.client_info.type, 'nats')
      assert.match(request.iss, /^N/)
    })

    test('refuses whom it does not know', async () => {
      await assert.rejects(connect({ servers: broker.nats, token: 'bad' }), /authorization/i)
    })

    test('many come at once', async () => {
      const names = Array.from({ length: 50 }, (_, index) => `user${index}`)
      const all = await Promise.all(names.map((name) => connect({ servers: broker.nats, token: `good-${name}` })))
      await Promise.all(all.map((client) => client.flush()))
      await Promise.all(all.map((client) => client.close()))
    })
  })
}
