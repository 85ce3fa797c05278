// @nats-io/kv with its default options.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { StorageType } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { connect } from '@nats-io/transport-node'
import { all, Broker, eventually, refused, take } from './broker.mjs'

const options = { timeout: 60_000 }
let broker, connection, kvm
before(async () => {
  broker = await Broker.start()
  connection = await connect({ servers: broker.nats })
  kvm = new Kvm(connection)
})
after(async () => {
  await connection?.close()
  broker?.stop()
})
const seen = (entry) => [entry.key, entry.string(), entry.operation]

describe('buckets', options, () => {
  test('say how they are', async () => {
    const bucket = await kvm.create('status', {
      description: 'about', history: 5, ttl: 3_600_000, maxValueSize: 100, max_bytes: 10_000, storage: StorageType.Memory, compression: true, metadata: { owner: 'tests' },
    })
    await bucket.put('a', '1')
    const status = await bucket.status()
    assert.deepEqual(
      [status.bucket, status.values, status.history, status.ttl, status.maxValueSize, status.max_bytes, status.storage, status.compression, status.description],
      ['status', 1, 5, 3_600_000, 100, 10_000, 'memory', true, 'about'],
    )
    assert.equal(status.metadata.owner, 'tests')
    await refused(bucket.put('big', 'x'.repeat(200)), 10054)
    assert.equal((await (await kvm.open('status')).get('a')).string(), '1')
    assert.ok((await all(kvm.list())).some((one) => one.bucket === 'status'))
    assert.equal(await bucket.destroy(), true)
    await assert.rejects(kvm.open('status').then((gone) => gone.status()))
  })

  // A mirror within one server is not tried: this client looks for its keys under the mirror's own name.
  test('are sourced', async () => {
    const origin = await kvm.create('origin')
    await origin.put('a', '1')
    const sourced = await kvm.create('sourced', { sources: [{ name: 'origin' }] })
    assert.equal((await eventually('the source has it', () => sourced.get('a'))).string(), '1')
    await sourced.put('own', '3')
    assert.equal((await sourced.get('own')).string(), '3')
  })
})

describe('keys', options, () => {
  for (const direct of [true, false]) {
    test(`put, get, update, delete, purge, ${direct ? '' : 'not '}direct`, async () => {
      const bucket = await kvm.create(`basics-${direct}`, { history: 10, allow_direct: direct })
      assert.equal(await bucket.get('a'), null)
      assert.equal(await bucket.put('a', '1'), 1)
      assert.equal(await bucket.put('b.c', '2'), 2)
      assert.deepEqual([(await bucket.get('a')).string(), (await bucket.get('a')).revision], ['1', 1])
      assert.equal(await bucket.update('a', '3', 1), 3)
      await refused(bucket.update('a', '4', 1), 10071)
      await refused(bucket.put('a', '4', { previousSeq: 1 }), 10071)
      assert.equal((await bucket.get('a', { revision: 1 })).string(), '1')
      assert.equal(await bucket.get('a', { revision: 2 }), null)
      await bucket.delete('a')
      assert.equal((await bucket.get('a')).operation, 'DEL')
      assert.deepEqual((await all(await bucket.history({ key: 'a' }))).map(seen), [['a', '1', 'PUT'], ['a', '3', 'PUT'], ['a', '', 'DEL']])
      await bucket.purge('a')
      assert.deepEqual((await all(await bucket.history({ key: 'a' }))).map(seen), [['a', '', 'PURGE']])
    })
  }

  test('are created only when they are not there', async () => {
    const bucket = await kvm.create('create', { history: 5 })
    assert.equal(await bucket.create('a', '1'), 1)
    await refused(bucket.create('a', '2'), 10071)
    await bucket.delete('a')
    assert.equal(await bucket.create('a', '3'), 3)
    await bucket.purge('a')
    assert.equal(await bucket.create('a', '4'), 5)
    await refused(bucket.delete('a', { previousSeq: 1 }), 10071)
    await bucket.delete('a', { previousSeq: 5 })
  })

  test('are listed, with filters', async () => {
    const bucket = await kvm.create('keys')
    for (const key of ['a', 'b.one', 'b.two', 'c.one', 'gone']) await bucket.put(key, 'x')
    await bucket.delete('gone')
    assert.deepEqual((await all(await bucket.keys())).sort(), ['a', 'b.one', 'b.two', 'c.one'])
    assert.deepEqual((await all(await bucket.keys('b.*'))).sort(), ['b.one', 'b.two'])
    assert.deepEqual((await all(await bucket.keys(['b.*', 'a']))).sort(), ['a', 'b.one', 'b.two'])
  })

  test('history keeps the newest', async () => {
    const bucket = await kvm.create('history', { history: 3 })
    for (let n = 0; n < 5; n++) await bucket.put('a', String(n))
    assert.deepEqual((await all(await bucket.history())).map((entry) => entry.string()), ['2', '3', '4'])
  })

  test('age, by bucket and by key, and leave a marker', async () => {
    const aging = await kvm.create('aging', { ttl: 1_000 })
    await aging.put('a', 'x')
    await eventually('the key is gone', async () => (await aging.get('a')) === null)
    const marked = await kvm.create('marked', { markerTTL: 60_000 })
    assert.equal((await marked.status()).markerTTL, 60_000)
    await marked.create('a', 'x', '1s')
    await marked.create('b', 'x')
    const watch = await marked.watch({ key: 'a' })
    const entries = await take(watch, 2)
    assert.deepEqual(entries.map((entry) => entry.operation), ['PUT', 'PURGE'])
    assert.equal((await marked.get('b')).string(), 'x')
    await marked.purge('b', { ttl: '1s' })
    await eventually('the tombstone is gone', async () => (await marked.get('b')) === null)
  })
})

describe('watching', options, () => {
  async function bucketOf(name) {
    const bucket = await kvm.create(name, { history: 5 })
    await bucket.put('a.x', '1')
    await bucket.put('a.x', '2')
    await bucket.put('a.y', '3')
    await bucket.delete('a.y')
    await bucket.put('b', '4')
    return bucket
  }

  test('gives what is there and then what comes', async () => {
    const bucket = await bucketOf('watch')
    const watch = await bucket.watch()
    const entries = []
    for await (const entry of watch) {
      entries.push(seen(entry))
      if (entries.length === 3) await bucket.put('c', '5')
      if (entries.length === 4) break
    }
    assert.deepEqual(entries, [['a.x', '2', 'PUT'], ['a.y', '', 'DEL'], ['b', '4', 'PUT'], ['c', '5', 'PUT']])
  })

  test('takes every option', async () => {
    const bucket = await bucketOf('options')
    const first = async (count, opts) => (await take(await bucket.watch(opts), count)).map(seen)
    assert.deepEqual(await first(1, { key: 'b' }), [['b', '4', 'PUT']])
    assert.deepEqual(await first(2, { key: ['a.x', 'b'] }), [['a.x', '2', 'PUT'], ['b', '4', 'PUT']])
    assert.deepEqual(await first(2, { ignoreDeletes: true }), [['a.x', '2', 'PUT'], ['b', '4', 'PUT']])
    assert.deepEqual(await first(1, { key: 'b', headers_only: true }), [['b', '', 'PUT']])
    assert.deepEqual(await first(4, { key: 'a.*', include: 'history' }), [['a.x', '1', 'PUT'], ['a.x', '2', 'PUT'], ['a.y', '3', 'PUT'], ['a.y', '', 'DEL']])
    assert.deepEqual(await first(2, { resumeFromRevision: 4 }), [['a.y', '', 'DEL'], ['b', '4', 'PUT']])
    const updates = await bucket.watch({ include: 'updates' })
    await bucket.put('new', '6')
    assert.deepEqual((await take(updates, 1)).map(seen), [['new', '6', 'PUT']])
  })

  test('goes on by itself after the server was killed', async () => {
    const own = await Broker.start()
    const client = await connect({ servers: own.nats })
    const bucket = await new Kvm(client).create('kept')
    await bucket.put('a', '1')
    const values = []
    const watch = await bucket.watch()
    const reading = (async () => { for await (const entry of watch) values.push(entry.string()) })()
    await eventually('the first is seen', async () => values.includes('1'))
    await own.restart()
    await eventually('the bucket is writable again', () => bucket.put('a', '2').catch(() => null))
    await eventually('the watcher sees it', async () => values.includes('2'))
    watch.stop()
    await reading
    await client.close()
    own.stop()
  })
})
