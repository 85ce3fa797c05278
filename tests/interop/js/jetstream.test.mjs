// @nats-io/jetstream with its default options: streams, publishing and consumers.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { AckPolicy, DeliverPolicy, DiscardPolicy, jetstream, jetstreamManager, ReplayPolicy, RetentionPolicy, StorageType } from '@nats-io/jetstream'
import { headers, nanos } from '@nats-io/nats-core'
import { connect } from '@nats-io/transport-node'
import { all, Broker, eventually, refused, take } from './broker.mjs'

const options = { timeout: 60_000 }
let broker, connection, js, jsm
before(async () => {
  broker = await Broker.start()
  connection = await connect({ servers: broker.nats })
  js = jetstream(connection)
  jsm = await jetstreamManager(connection)
})
after(async () => {
  await connection?.close()
  broker?.stop()
})

/** A stream with `count` messages on two subjects. */
async function filled(name, count, config = {}) {
  await jsm.streams.add({ name, subjects: [`${name}.>`], ...config })
  for (let n = 0; n < count; n++) await js.publish(`${name}.${n % 2}`, String(n))
}
const texts = (messages) => messages.map((message) => message.string())

describe('streams', options, () => {
  test('every member of a configuration comes back', async () => {
    const config = {
      name: 'every', description: 'about', subjects: ['every.>'], retention: RetentionPolicy.Limits, max_consumers: 3, max_msgs: 100, max_bytes: 100_000,
      max_age: nanos(60_000), max_msgs_per_subject: 5, max_msg_size: 1000, discard: DiscardPolicy.New, discard_new_per_subject: true, storage: StorageType.Memory,
      num_replicas: 1, duplicate_window: nanos(30_000), allow_direct: true, allow_rollup_hdrs: true, deny_delete: true, compression: 'none', first_seq: 10,
      subject_transform: { src: 'every.*', dest: 'every.x.{{wildcard(1)}}' }, republish: { src: 'every.>', dest: 'again.>', headers_only: true },
      consumer_limits: { inactive_threshold: nanos(10_000), max_ack_pending: 7 }, allow_msg_ttl: true, subject_delete_marker_ttl: nanos(2_000), allow_atomic: true,
      metadata: { owner: 'tests' },
    }
    await jsm.streams.add(config)
    const stored = (await jsm.streams.info('every')).config
    for (const [name, value] of Object.entries(config)) {
      if (name !== 'metadata') assert.deepEqual(stored[name], value, name)
    }
    assert.equal(stored.metadata.owner, 'tests')
  })

  test('are created, updated, found, listed and deleted', async () => {
    await jsm.streams.add({ name: 'life', subjects: ['life.a'] })
    await jsm.streams.add({ name: 'life', subjects: ['life.a'] })
    await refused(jsm.streams.add({ name: 'life', subjects: ['life.b'] }), 10058)
    const updated = await jsm.streams.update('life', { subjects: ['life.a', 'life.b'], max_msgs: 2 })
    assert.equal(updated.config.max_msgs, 2)
    assert.equal(await jsm.streams.find('life.b'), 'life')
    assert.ok((await all(jsm.streams.names())).includes('life'))
    assert.deepEqual((await all(jsm.streams.list('life.a'))).map((info) => info.config.name), ['life'])
    for (let n = 0; n < 3; n++) await js.publish('life.a', String(n))
    const info = await jsm.streams.info('life', { subjects_filter: '>', deleted_details: true })
    assert.deepEqual([info.state.messages, info.state.first_seq, info.state.last_seq, info.state.subjects], [2, 2, 3, { 'life.a': 2 }])
    assert.equal(await jsm.streams.delete('life'), true)
    await refused(jsm.streams.info('life'), 10059)
    await assert.rejects(js.publish('life.a'))
  })

  test('messages are got and deleted', async () => {
    await filled('get', 3, { allow_direct: true })
    const one = await jsm.streams.getMessage('get', { seq: 1 })
    assert.deepEqual([one.subject, one.seq, one.string()], ['get.0', 1, '0'])
    assert.equal((await jsm.streams.getMessage('get', { last_by_subj: 'get.0' })).seq, 3)
    assert.equal((await jsm.streams.getMessage('get', { seq: 2, next_by_subj: 'get.0' })).seq, 3)
    assert.equal(await jsm.streams.getMessage('get', { seq: 9 }), null)
    assert.equal((await jsm.direct.getMessage('get', { seq: 2 })).string(), '1')
    assert.equal((await jsm.direct.getMessage('get', { last_by_subj: 'get.0' })).seq, 3)
    assert.equal(await jsm.direct.getMessage('get', { seq: 9 }), null)
    assert.equal(await jsm.streams.deleteMessage('get', 2), true)
    assert.equal(await jsm.streams.deleteMessage('get', 1, false), true)
    assert.equal(await jsm.streams.getMessage('get', { seq: 2 }), null)
  })

  test('direct batches and the last of many subjects', async () => {
    await filled('batch', 6, { allow_direct: true })
    assert.deepEqual(texts(await all(await jsm.direct.getBatch('batch', { seq: 2, batch: 3 }))), ['1', '2', '3'])
    assert.deepEqual(texts(await all(await jsm.direct.getBatch('batch', { seq: 1, batch: 10, next_by_subj: 'batch.1' }))), ['1', '3', '5'])
    assert.deepEqual(texts(await all(await jsm.direct.getBatch('batch', { start_time: new Date(0), batch: 2 }))), ['0', '1'])
    assert.deepEqual(texts(await all(await jsm.direct.getLastMessagesFor('batch', { multi_last: ['batch.0', 'batch.1'] }))), ['4', '5'])
    assert.deepEqual(texts(await all(await jsm.direct.getLastMessagesFor('batch', { multi_last: ['batch.*'], up_to_seq: 3 }))), ['1', '2'])
  })

  test('are purged by subject, sequence and number', async () => {
    await filled('purge', 9)
    assert.equal((await jsm.streams.purge('purge', { filter: 'purge.0' })).purged, 5)
    assert.equal((await jsm.streams.purge('purge', { seq: 4 })).purged, 1)
    assert.equal((await jsm.streams.purge('purge', { keep: 1 })).purged, 2)
    assert.equal((await jsm.streams.purge('purge', { filter: 'purge.1', keep: 1 })).purged, 0)
    assert.equal((await jsm.streams.purge('purge')).purged, 1)
    const { state } = await jsm.streams.info('purge')
    assert.deepEqual([state.messages, state.first_seq, state.last_seq], [0, 10, 9])
  })

  test('refusals carry their codes', async () => {
    await jsm.streams.add({ name: 'refuse', subjects: ['refuse.*'] })
    await refused(jsm.streams.add({ name: 'overlap', subjects: ['refuse.a'] }), 10065)
    await refused(jsm.streams.add({ name: 'three', num_replicas: 3 }), 10074)
    await refused(jsm.streams.add({ name: 'age', max_age: 1000 }), 10052)
    await refused(jsm.streams.update('nothing', { subjects: ['x'] }), 10059)
  })

  test('mirrors and sources follow', async () => {
    await filled('origin', 3)
    await jsm.streams.add({ name: 'mirror', mirror: { name: 'origin' } })
    await jsm.streams.add({ name: 'sourced', sources: [{ name: 'origin', subject_transforms: [{ src: 'origin.1', dest: 'mapped.x' }] }] })
    const mirror = await eventually('the mirror is complete', async () => {
      const info = await jsm.streams.info('mirror')
      return info.state.messages === 3 && info
    })
    assert.equal(mirror.mirror.name, 'origin')
    await eventually('the source is complete', async () => (await jsm.streams.info('sourced')).state.messages === 1)
    assert.equal((await jsm.streams.getMessage('sourced', { last_by_subj: 'mapped.x' })).string(), '1')
  })

  test('the account is told', async () => {
    const account = await jsm.getAccountInfo()
    assert.ok(account.streams >= 1)
    assert.ok(account.api.level >= 1)
  })

  test('advisories tell of streams', async () => {
    const advisories = jsm.advisories()
    const seen = (async () => {
      for await (const advisory of advisories) {
        if (advisory.kind === 'stream_action' && advisory.data.stream === 'advised') return advisory.data
      }
    })()
    await connection.flush()
    await jsm.streams.add({ name: 'advised' })
    assert.equal((await seen).action, 'create')
  })
})

describe('publishing', options, () => {
  test('duplicates and expectations', async () => {
    await jsm.streams.add({ name: 'expect', subjects: ['expect.*'] })
    const first = await js.publish('expect.a', 'x', { msgID: 'one' })
    assert.deepEqual([first.seq, first.duplicate], [1, false])
    const again = await js.publish('expect.a', 'x', { msgID: 'one' })
    assert.deepEqual([again.seq, again.duplicate], [1, true])
    await refused(js.publish('expect.a', 'x', { expect: { streamName: 'other' } }), 10060)
    await refused(js.publish('expect.a', 'x', { expect: { lastSequence: 7 } }), 10071)
    await refused(js.publish('expect.a', 'x', { expect: { lastSubjectSequence: 7 } }), 10071)
    await refused(js.publish('expect.a', 'x', { expect: { lastMsgID: 'other' } }), 10070)
    await js.publish('expect.a', 'x', { expect: { lastMsgID: 'one', streamName: 'expect', lastSequence: 1 } })
    await js.publish('expect.b', 'x', { expect: { lastSubjectSequence: 2, lastSubjectSequenceSubject: 'expect.a' } })
  })

  test('time to live, rollup and own headers', async () => {
    await jsm.streams.add({ name: 'ttl', subjects: ['ttl.*'], allow_msg_ttl: true, allow_rollup_hdrs: true })
    await js.publish('ttl.short', 'x', { ttl: '1s' })
    await js.publish('ttl.long', 'x', { ttl: '1h' })
    await refused(js.publish('ttl.long', 'x', { ttl: '1ms' }), 10165)
    await eventually('the short one is gone', async () => (await jsm.streams.info('ttl')).state.messages === 1)
    const rollup = headers()
    rollup.set('Nats-Rollup', 'all')
    rollup.set('Own', 'header')
    await js.publish('ttl.long', 'x', { headers: rollup })
    const message = await jsm.streams.getMessage('ttl', { last_by_subj: 'ttl.long' })
    assert.deepEqual([message.seq, message.header.get('Own')], [3, 'header'])
    assert.equal((await jsm.streams.info('ttl')).state.messages, 1)
  })

  test('an atomic batch', async () => {
    await jsm.streams.add({ name: 'atomic', subjects: ['atomic.*'], allow_atomic: true })
    const batch = await js.startBatch('atomic.a', '1')
    batch.add('atomic.b', '2')
    await batch.add('atomic.b', '3', { ack: true })
    assert.equal((await jsm.streams.info('atomic')).state.messages, 0)
    const ack = await batch.commit('atomic.c', '4')
    assert.deepEqual([ack.count, ack.seq], [4, 4])
    assert.equal((await jsm.streams.info('atomic')).state.messages, 4)
  })

  test('a scheduled message', async () => {
    await jsm.streams.add({ name: 'schedule', subjects: ['schedule.>'], allow_msg_schedules: true })
    await js.publish('schedule.plan', 'later', { schedule: { specification: new Date(Date.now() + 1000), target: 'schedule.target' } })
    const message = await eventually('it is produced', () => jsm.streams.getMessage('schedule', { last_by_subj: 'schedule.target' }))
    assert.equal(message.string(), 'later')
    await js.publish('schedule.every', 'again', { schedule: { specification: { every: '1h' }, target: 'schedule.target' } })
    await refused(js.publish('schedule.bad', 'x', { schedule: { specification: 'nonsense', target: 'schedule.target' } }), 10189)
  })

  test('a counter', async () => {
    await jsm.streams.add({ name: 'count', subjects: ['count.*'], allow_msg_counter: true, allow_direct: true })
    const increment = headers()
    increment.set('Nats-Incr', '5')
    assert.equal((await js.publish('count.a', '', { headers: increment })).val, '5')
    assert.equal((await js.publish('count.a', '', { headers: increment })).val, '10')
    assert.deepEqual((await jsm.direct.getMessage('count', { last_by_subj: 'count.a' })).json(), { val: '10' })
  })

  test('a thousand in flight', async () => {
    await jsm.streams.add({ name: 'flight', subjects: ['flight.*'] })
    const acks = await Promise.all(Array.from({ length: 1000 }, (_, n) => js.publish(`flight.${n % 7}`, String(n))))
    assert.equal(new Set(acks.map((ack) => ack.seq)).size, 1000)
    assert.equal((await jsm.streams.info('flight')).state.last_seq, 1000)
  })
})

describe('consumers', options, () => {
  test('every member of a configuration comes back', async () => {
    await filled('cevery', 0)
    const config = {
      name: 'every', durable_name: 'every', description: 'about', deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: 3, ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(1_000), max_deliver: 5, backoff: [nanos(1_000), nanos(2_000)], filter_subjects: ['cevery.0', 'cevery.1'], replay_policy: ReplayPolicy.Original,
      sample_freq: '50%', max_waiting: 7, max_ack_pending: 9, headers_only: true, max_batch: 11, max_expires: nanos(13_000), max_bytes: 1500,
      inactive_threshold: nanos(17_000), num_replicas: 1, mem_storage: true, metadata: { owner: 'tests' },
    }
    await jsm.consumers.add('cevery', config)
    const stored = (await jsm.consumers.info('cevery', 'every')).config
    for (const [name, value] of Object.entries(config)) {
      if (name !== 'metadata') assert.deepEqual(stored[name], value, name)
    }
    const updated = await jsm.consumers.update('cevery', 'every', { description: 'changed', max_ack_pending: 10 })
    assert.deepEqual([updated.config.description, updated.config.max_ack_pending], ['changed', 10])
    assert.deepEqual((await all(jsm.consumers.list('cevery'))).map((info) => info.name), ['every'])
    assert.equal(await jsm.consumers.delete('cevery', 'every'), true)
    await refused(jsm.consumers.info('cevery', 'every'), 10014)
  })

  test('next, fetch and consume', async () => {
    await filled('pull', 10)
    await jsm.consumers.add('pull', { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    const consumer = await js.consumers.get('pull', 'c')
    const first = await consumer.next()
    assert.deepEqual([first.string(), first.seq, first.info.pending, first.info.deliveryCount], ['0', 1, 9, 1])
    assert.equal(await first.ackAck(), true)
    const fetched = []
    for await (const message of await consumer.fetch({ max_messages: 4, expires: 2_000 })) {
      fetched.push(message.string())
      message.ack()
    }
    assert.deepEqual(fetched, ['1', '2', '3', '4'])
    const consumed = []
    for await (const message of await consumer.consume({ max_messages: 3 })) {
      consumed.push(message.string())
      message.ack()
      if (consumed.length === 5) break
    }
    assert.deepEqual(consumed, ['5', '6', '7', '8', '9'])
    assert.equal(await consumer.next({ expires: 1_000 }), null)
    await eventually('all are acknowledged', async () => (await consumer.info()).num_ack_pending === 0)
  })

  test('fetch and consume by bytes', async () => {
    await filled('bytes', 0)
    for (let n = 0; n < 6; n++) await js.publish('bytes.a', 'x'.repeat(1000))
    await jsm.consumers.add('bytes', { durable_name: 'c', ack_policy: AckPolicy.None })
    const consumer = await js.consumers.get('bytes', 'c')
    // The client ends with an error when the next message does not fit, so the two that fit are taken one by one.
    assert.equal((await take(await consumer.fetch({ max_bytes: 2500, expires: 2_000 }), 2)).length, 2)
    assert.equal((await take(await consumer.consume({ max_bytes: 2500 }), 4)).length, 4)
  })

  test('consume with a callback goes on with what comes later', async () => {
    await filled('later', 1)
    await jsm.consumers.add('later', { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    const consumer = await js.consumers.get('later', 'c')
    const seen = []
    const messages = await consumer.consume({ callback: (message) => { seen.push(message.string()); message.ack() } })
    await eventually('the first is seen', async () => seen.length === 1)
    await js.publish('later.a', 'late')
    await eventually('the late one is seen', async () => seen.length === 2)
    await messages.close()
    assert.deepEqual(seen, ['0', 'late'])
  })

  test('a heartbeat is seen while nothing comes', async () => {
    await filled('beat', 0)
    await jsm.consumers.add('beat', { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    const messages = await (await js.consumers.get('beat', 'c')).consume({ idle_heartbeat: 500, expires: 5_000, callback: () => {} })
    for await (const status of messages.status()) {
      assert.notEqual(status.type, 'heartbeats_missed')
      if (status.type === 'heartbeat') break
    }
    await messages.close()
  })

  test('deleting a consumer ends who consumes', async () => {
    await filled('ended', 0)
    await jsm.consumers.add('ended', { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    const messages = await (await js.consumers.get('ended', 'c')).consume({ abort_on_missing_resource: true, callback: () => {} })
    const statuses = messages.status()
    await eventually('the pull waits', async () => (await jsm.consumers.info('ended', 'c')).num_waiting === 1)
    await jsm.consumers.delete('ended', 'c')
    for await (const status of statuses) if (status.type === 'consumer_deleted') break
    await messages.closed()
  })

  test('every kind of acknowledgement', async () => {
    await filled('acks', 5)
    await jsm.consumers.add('acks', { durable_name: 'c', ack_policy: AckPolicy.Explicit, ack_wait: nanos(10_000) })
    const consumer = await js.consumers.get('acks', 'c')
    const [done, again, later, never, working] = await all(await consumer.fetch({ max_messages: 5, expires: 2_000 }))
    done.ack()
    working.working()
    never.term('broken')
    again.nak()
    const redelivered = await consumer.next()
    assert.deepEqual([redelivered.string(), redelivered.info.deliveryCount, redelivered.redelivered], ['1', 2, true])
    assert.equal(await redelivered.ackAck(), true)
    later.nak(200)
    const delayed = await consumer.next()
    assert.equal(delayed.string(), '2')
    assert.equal(await delayed.ackAck(), true)
    assert.equal(await working.ackAck(), true)
    const info = await consumer.info()
    assert.deepEqual([info.num_ack_pending, info.ack_floor.stream_seq], [0, 5])
  })

  test('acknowledging all', async () => {
    await filled('ackall', 4)
    await jsm.consumers.add('ackall', { durable_name: 'c', ack_policy: AckPolicy.All })
    const consumer = await js.consumers.get('ackall', 'c')
    const messages = await all(await consumer.fetch({ max_messages: 3, expires: 2_000 }))
    await messages[2].ackAck()
    const info = await consumer.info()
    assert.deepEqual([info.num_ack_pending, info.ack_floor.stream_seq, info.num_pending], [0, 3, 1])
  })

  test('every deliver policy', async () => {
    await filled('policy', 6)
    const cases = [
      [{ deliver_policy: DeliverPolicy.All }, ['0', '1', '2', '3', '4', '5']],
      [{ deliver_policy: DeliverPolicy.Last }, ['5']],
      [{ deliver_policy: DeliverPolicy.LastPerSubject, filter_subject: 'policy.*' }, ['4', '5']],
      [{ deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: 5 }, ['4', '5']],
      [{ deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(0).toISOString() }, ['0', '1', '2', '3', '4', '5']],
      [{ deliver_policy: DeliverPolicy.All, filter_subjects: ['policy.1', 'policy.9'] }, ['1', '3', '5']],
    ]
    for (const [index, [config, expected]] of cases.entries()) {
      await jsm.consumers.add('policy', { name: `c${index}`, ack_policy: AckPolicy.None, ...config })
      const messages = await (await js.consumers.get('policy', `c${index}`)).fetch({ max_messages: expected.length, expires: 2_000 })
      assert.deepEqual(texts(await all(messages)), expected, JSON.stringify(config))
    }
    await jsm.consumers.add('policy', { name: 'new', ack_policy: AckPolicy.None, deliver_policy: DeliverPolicy.New })
    await js.publish('policy.0', 'new')
    assert.equal((await (await js.consumers.get('policy', 'new')).next()).string(), 'new')
  })

  test('ordered, pull and push', async () => {
    await filled('ordered', 30)
    const expected = Array.from({ length: 30 }, (_, n) => String(n))
    const pull = await js.consumers.get('ordered')
    assert.deepEqual(texts(await take(await pull.consume(), 30)), expected)
    const some = await js.consumers.get('ordered', { filter_subjects: 'ordered.1', deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: 20 })
    assert.deepEqual(texts(await all(await some.fetch({ max_messages: 3, expires: 2_000 }))), ['19', '21', '23'])
    const push = await js.consumers.getPushConsumer('ordered')
    assert.deepEqual(texts(await take(await push.consume(), 30)), expected)
  })

  test('push with a queue group and headers only', async () => {
    await filled('push', 0)
    await jsm.consumers.add('push', {
      durable_name: 'c', ack_policy: AckPolicy.Explicit, deliver_subject: 'push-deliver', deliver_group: 'workers', headers_only: true,
    })
    const one = await (await js.consumers.getPushConsumer('push', 'c')).consume()
    const two = await (await js.consumers.getPushConsumer('push', 'c')).consume()
    const seen = []
    const read = async (messages) => {
      let count = 0
      for await (const message of messages) {
        assert.equal(message.headers.get('Nats-Msg-Size'), '20000')
        seen.push(message.seq)
        message.ack()
        count++
      }
      return count
    }
    const counts = [read(one), read(two)]
    await Promise.all(Array.from({ length: 100 }, () => js.publish('push.a', 'x'.repeat(20_000))))
    await eventually('all were delivered', async () => new Set(seen).size === 100)
    await Promise.all([one.close(), two.close()])
    assert.equal((await Promise.all(counts)).reduce((a, b) => a + b), 100)
  })

  test('push with flow control', async () => {
    await filled('flow', 0)
    await jsm.consumers.add('flow', { durable_name: 'c', ack_policy: AckPolicy.None, deliver_subject: 'flow-deliver', flow_control: true, idle_heartbeat: nanos(1_000) })
    const messages = await (await js.consumers.getPushConsumer('flow', 'c')).consume()
    await Promise.all(Array.from({ length: 200 }, () => js.publish('flow.a', 'x'.repeat(20_000))))
    assert.deepEqual((await take(messages, 200)).map((message) => message.seq), Array.from({ length: 200 }, (_, n) => n + 1))
  })

  test('pause, resume and reset', async () => {
    await filled('pause', 3)
    await jsm.consumers.add('pause', { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    const consumer = await js.consumers.get('pause', 'c')
    assert.equal((await jsm.consumers.pause('pause', 'c', new Date(Date.now() + 3_600_000))).paused, true)
    assert.equal(await consumer.next({ expires: 1_000 }), null)
    assert.equal((await consumer.info()).paused, true)
    assert.equal((await jsm.consumers.resume('pause', 'c')).paused, false)
    for (const message of await all(await consumer.fetch({ max_messages: 3, expires: 2_000 }))) await message.ackAck()
    await jsm.consumers.reset('pause', 'c', 2)
    assert.equal((await consumer.next()).string(), '1')
  })

  test('priority groups', async () => {
    await filled('priority', 4)
    await jsm.consumers.add('priority', { durable_name: 'over', ack_policy: AckPolicy.Explicit, priority_groups: ['g'], priority_policy: 'overflow' })
    const over = await js.consumers.get('priority', 'over')
    assert.equal((await all(await over.fetch({ max_messages: 1, expires: 1_000, group: 'g', min_pending: 100 }))).length, 0)
    assert.equal((await all(await over.fetch({ max_messages: 1, expires: 1_000, group: 'g', min_pending: 2 }))).length, 1)
    await jsm.consumers.add('priority', { durable_name: 'first', ack_policy: AckPolicy.Explicit, priority_groups: ['g'], priority_policy: 'prioritized' })
    const first = await js.consumers.get('priority', 'first')
    assert.equal((await all(await first.fetch({ max_messages: 1, expires: 1_000, group: 'g', priority: 2 }))).length, 1)
    await jsm.consumers.add('priority', { durable_name: 'pin', ack_policy: AckPolicy.Explicit, priority_groups: ['g'], priority_policy: 'pinned_client', priority_timeout: nanos(60_000) })
    const pinned = await js.consumers.get('priority', 'pin')
    const messages = await pinned.consume({ max_messages: 2, group: 'g' })
    await take(messages, 2)
    assert.equal((await jsm.consumers.info('priority', 'pin')).priority_groups[0].group, 'g')
    await jsm.consumers.unpin('priority', 'pin', 'g')
    await refused(jsm.consumers.unpin('priority', 'pin', 'other'), 10160)
  })

  test('backoff, max deliver and max ack pending', async () => {
    await filled('back', 2)
    await jsm.consumers.add('back', { durable_name: 'c', ack_policy: AckPolicy.Explicit, backoff: [nanos(200), nanos(300)], max_deliver: 3, max_ack_pending: 1 })
    const consumer = await js.consumers.get('back', 'c')
    const counts = []
    for (let n = 0; n < 3; n++) counts.push((await consumer.next({ expires: 5_000 })).info.deliveryCount)
    assert.deepEqual(counts, [1, 2, 3])
    const second = await consumer.next({ expires: 5_000 })
    assert.deepEqual([second.string(), second.info.deliveryCount], ['1', 1])
  })

  test('work queue and interest retention', async () => {
    await filled('work', 2, { retention: RetentionPolicy.Workqueue })
    await jsm.consumers.add('work', { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    await refused(jsm.consumers.add('work', { durable_name: 'd', ack_policy: AckPolicy.Explicit }), 10099)
    for (const message of await all(await (await js.consumers.get('work', 'c')).fetch({ max_messages: 2, expires: 2_000 }))) await message.ackAck()
    await eventually('done work is gone', async () => (await jsm.streams.info('work')).state.messages === 0)
    await filled('interest', 2, { retention: RetentionPolicy.Interest })
    assert.equal((await jsm.streams.info('interest')).state.messages, 0)
    await jsm.consumers.add('interest', { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    await js.publish('interest.a', 'wanted')
    await (await (await js.consumers.get('interest', 'c')).next()).ackAck()
    await eventually('seen by everyone is gone', async () => (await jsm.streams.info('interest')).state.messages === 0)
  })

  test('consuming goes on by itself after the server was killed', async () => {
    const own = await Broker.start()
    const client = await connect({ servers: own.nats })
    const [stream, manager] = [jetstream(client), await jetstreamManager(client)]
    await manager.streams.add({ name: 'kept', subjects: ['kept'] })
    await manager.consumers.add('kept', { durable_name: 'c', ack_policy: AckPolicy.Explicit })
    await stream.publish('kept', '1')
    const seen = []
    const messages = await (await stream.consumers.get('kept', 'c')).consume({ expires: 2_000, idle_heartbeat: 500, callback: (message) => { seen.push(message.string()); message.ack() } })
    await eventually('the first is seen', async () => seen.includes('1'))
    await own.restart()
    await eventually('publishing works again', () => stream.publish('kept', '2').catch(() => null))
    await eventually('consuming works again', async () => seen.includes('2'))
    await messages.close()
    await client.close()
    own.stop()
  })
})
