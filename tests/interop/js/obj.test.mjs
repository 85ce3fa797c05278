// @nats-io/obj with its default options.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { headers, nanos } from '@nats-io/nats-core'
import { Objm } from '@nats-io/obj'
import { connect } from '@nats-io/transport-node'
import { all, Broker, refused, take } from './broker.mjs'

let broker, connection, objm
before(async () => {
  broker = await Broker.start()
  connection = await connect({ servers: broker.nats })
  objm = new Objm(connection)
})
after(async () => {
  await connection?.close()
  broker?.stop()
})
const bytes = (text) => new TextEncoder().encode(text)
const text = async (store, name) => new TextDecoder().decode(await store.getBlob(name))

describe('object stores', { timeout: 60_000 }, () => {
  test('say how they are', async () => {
    const store = await objm.create('status', { description: 'about', ttl: nanos(3_600_000), max_bytes: 10_000_000, compression: true, metadata: { owner: 'tests' } })
    const status = await store.status()
    assert.deepEqual([status.bucket, status.description, status.ttl, status.sealed, status.compression], ['status', 'about', nanos(3_600_000), false, true])
    assert.equal(status.metadata.owner, 'tests')
    assert.ok((await all(objm.list())).some((one) => one.bucket === 'status'))
    assert.equal(await store.destroy(), true)
    await assert.rejects(objm.open('status'))
  })

  test('put, get, replace, delete', async () => {
    const store = await objm.create('basics')
    assert.equal(await store.get('a file'), null)
    const info = await store.putBlob({ name: 'a file' }, bytes('hello'))
    assert.deepEqual([info.name, info.size, info.chunks], ['a file', 5, 1])
    assert.equal(await text(store, 'a file'), 'hello')
    await store.putBlob({ name: 'a file' }, bytes('hello again'))
    assert.equal(await text(store, 'a file'), 'hello again')
    assert.equal((await store.status()).streamInfo.state.messages, 2)
    const deleted = await store.delete('a file')
    assert.deepEqual([deleted.success, deleted.purged], [true, 1])
    assert.equal(await store.getBlob('a file'), null)
    assert.equal((await store.info('a file')).deleted, true)
    await refused(store.putBlob({ name: 'a file' }, bytes('x'), { previousRevision: 1 }), 10071)
  })

  test('large objects come in chunks', async () => {
    const store = await objm.create('large')
    const body = randomBytes(5 * 1024 * 1024 + 17)
    const source = new ReadableStream({
      start(controller) {
        for (let at = 0; at < body.length; at += 100_000) controller.enqueue(new Uint8Array(body.subarray(at, at + 100_000)))
        controller.close()
      },
    })
    const info = await store.put({ name: 'large' }, source)
    assert.deepEqual([info.size, info.chunks], [body.length, 41])
    const result = await store.get('large')
    const hash = createHash('sha256')
    for await (const part of result.data) hash.update(part)
    assert.ok(!(await result.error))
    assert.equal(hash.digest('hex'), createHash('sha256').update(body).digest('hex'))
    const small = await store.putBlob({ name: 'small chunks', options: { max_chunk_size: 100 } }, new Uint8Array(body.subarray(0, 1000)))
    assert.equal(small.chunks, 10)
    assert.deepEqual(Buffer.from(await store.getBlob('small chunks')), body.subarray(0, 1000))
  })

  test('metadata is kept and updated, names too', async () => {
    const store = await objm.create('meta')
    const own = headers()
    own.set('own', 'header')
    await store.putBlob({ name: 'a', description: 'first', headers: own, metadata: { k: 'v' } }, bytes('x'))
    const info = await store.info('a')
    assert.deepEqual([info.description, info.headers.get('own'), info.metadata], ['first', 'header', { k: 'v' }])
    await store.update('a', { name: 'b', description: 'second' })
    assert.equal(await store.info('a'), null)
    assert.equal((await store.info('b')).description, 'second')
    assert.equal(await text(store, 'b'), 'x')
  })

  test('links point to objects and stores', async () => {
    const [store, other] = [await objm.create('links'), await objm.create('others')]
    const target = await store.putBlob({ name: 'target' }, bytes('linked'))
    await other.link('link', target)
    assert.equal(await text(other, 'link'), 'linked')
    const link = await store.linkStore('store', other)
    assert.equal(link.options.link.bucket, 'others')
  })

  test('are listed and watched', async () => {
    const store = await objm.create('list')
    await store.putBlob({ name: 'a' }, bytes('x'))
    await store.putBlob({ name: 'b' }, bytes('x'))
    await store.delete('b')
    assert.deepEqual((await store.list()).map((info) => info.name), ['a'])
    const watch = await store.watch({ includeHistory: true })
    const names = []
    for await (const info of watch) {
      names.push([info.name, info.deleted])
      if (names.length === 2) await store.putBlob({ name: 'c' }, bytes('x'))
      if (names.length === 3) break
    }
    assert.deepEqual(names, [['a', false], ['b', true], ['c', false]])
    const kept = await store.watch({ ignoreDeletes: true, includeHistory: true })
    assert.deepEqual((await take(kept, 2)).map((info) => info.name), ['a', 'c'])
  })

  test('are sealed for ever', async () => {
    const store = await objm.create('sealed')
    await store.putBlob({ name: 'a' }, bytes('for ever'))
    assert.equal((await store.seal()).sealed, true)
    assert.equal(await text(store, 'a'), 'for ever')
    await refused(store.putBlob({ name: 'b' }, bytes('x')), 10109)
    await assert.rejects(store.delete('a'))
  })
})
