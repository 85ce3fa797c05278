// nats 2.29, the client before the modules, with its default options: streams, buckets and object stores.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { AckPolicy, connect, consumerOpts, createInbox, headers, nanos } from 'nats'
import { all, Broker, eventually, refused, take } from './broker.mjs'

let broker, connection, js, jsm
before(async () => {
  broker = await Broker.start()
  connection = await connect({ servers: broker.nats })
  js = connection.jetstream()
  jsm = await connection.jetstreamManager()
})
after(async () => {
  await connection?.close()
  broker?.stop()
})
const texts = (messages) => messages.map((message) => message.string())

describe('nats 2.29', { timeout: 60_000 }, () => {
  test('streams, publishing and consumers', async () => {
    await jsm.streams.add({ name: 'S', subjects: ['s.*'], allow_direct: true, metadata: { owner: 'tests' } })
    await js.publish('s.a', 'one', { msgID: '1' })
    assert.equal((await js.publish('s.a', 'one', { msgID: '1' })).duplicate, true)
    await refused(js.publish('s.a', 'x', { expect: { lastSequence: 9 } }), 10071)
    await js.publish('s.b', 'two')
    assert.equal((await jsm.streams.getMessage('S', { seq: 2 })).string(), 'two')
    assert.equal((await jsm.direct.getMessage('S', { last_by_subj: 's.a' })).string(), 'one')
    await jsm.consumers.add('S', { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    const consumer = await js.consumers.get('S', 'c')
    const messages = await all(await consumer.fetch({ max_messages: 2, expires: 2_000 }))
    assert.deepEqual(texts(messages), ['one', 'two'])
    for (const message of messages) assert.equal(await message.ackAck(), true)
    assert.deepEqual((await all(jsm.consumers.list('S'))).map((info) => info.ack_floor.stream_seq), [2])
    assert.equal((await jsm.streams.purge('S', { filter: 's.a' })).purged, 1)
    assert.equal(await jsm.streams.delete('S'), true)
  })

  test('subscriptions of the first generation, push and pull', async () => {
    await jsm.streams.add({ name: 'P', subjects: ['p.*'] })
    for (let n = 0; n < 4; n++) await js.publish('p.a', String(n))
    const push = consumerOpts()
    push.durable('push')
    push.manualAck()
    push.ackExplicit()
    push.deliverTo(createInbox())
    const pushed = []
    for await (const message of await js.subscribe('p.*', push)) {
      message.ack()
      if (pushed.push(message.string()) === 4) break
    }
    assert.deepEqual(pushed, ['0', '1', '2', '3'])
    const ordered = consumerOpts()
    ordered.orderedConsumer()
    assert.deepEqual(texts(await take(await js.subscribe('p.*', ordered), 4)), ['0', '1', '2', '3'])
    const pull = consumerOpts()
    pull.durable('pull')
    pull.ackExplicit()
    const pulled = await js.pullSubscribe('p.*', pull)
    pulled.pull({ batch: 4, expires: 2_000 })
    assert.equal((await take(pulled, 4)).length, 4)
    const one = await js.pull('P', 'pull', 500).catch((error) => error)
    assert.equal(one.code, '408')
  })

  test('key-value buckets', async () => {
    const bucket = await js.views.kv('bucket', { history: 5, ttl: 60_000 })
    assert.equal(await bucket.create('a', '1'), 1)
    await refused(bucket.create('a', '1'), 10071)
    assert.equal(await bucket.update('a', '2', 1), 2)
    await bucket.put('b.c', '3')
    assert.deepEqual((await all(await bucket.keys())).sort(), ['a', 'b.c'])
    assert.deepEqual((await all(await bucket.history({ key: 'a' }))).map((entry) => entry.string()), ['1', '2'])
    const watch = await bucket.watch({ key: '>' })
    const entries = []
    for await (const entry of watch) {
      entries.push([entry.key, entry.operation])
      if (entries.length === 2) await bucket.delete('a')
      if (entries.length === 3) await bucket.purge('b.c')
      if (entries.length === 4) break
    }
    assert.deepEqual(entries, [['a', 'PUT'], ['b.c', 'PUT'], ['a', 'DEL'], ['b.c', 'PURGE']])
    assert.equal((await bucket.status()).values, 4)
    await bucket.purgeDeletes(0)
    assert.equal((await bucket.status()).values, 0)
    assert.equal(await bucket.destroy(), true)
  })

  test('object stores', async () => {
    const store = await js.views.os('objects', { ttl: nanos(60_000) })
    const own = headers()
    own.set('own', 'header')
    const body = new Uint8Array(1_000_000).fill(7)
    const info = await store.putBlob({ name: 'large', headers: own }, body)
    assert.equal(info.chunks, 8)
    assert.deepEqual(await store.getBlob('large'), body)
    assert.deepEqual((await store.list()).map((one) => one.name), ['large'])
    await store.link('link', await store.info('large'))
    assert.equal((await store.getBlob('link')).length, 1_000_000)
    assert.equal((await store.delete('large')).purged, 8)
    assert.equal((await store.seal()).sealed, true)
  })

  test('a watcher goes on by itself after the server was killed', async () => {
    const bucket = await js.views.kv('kept')
    await bucket.put('a', '1')
    const values = []
    const watch = await bucket.watch()
    const reading = (async () => { for await (const entry of watch) values.push(entry.string()) })()
    await eventually('the first is seen', async () => values.includes('1'))
    await broker.restart()
    await eventually('the bucket is writable again', () => bucket.put('a', '2').catch(() => null))
    await eventually('the watcher sees it', async () => values.includes('2'))
    watch.stop()
    await reading
  })
})
