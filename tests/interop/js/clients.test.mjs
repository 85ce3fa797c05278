// Stock JavaScript clients with their default options against the appliance, with tokens of its own sign-in.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Appliance } from './appliance.mjs'
import { clients, status } from './clients.mjs'

const json = (value) => new TextEncoder().encode(JSON.stringify(value))
const body = (message) => JSON.parse(new TextDecoder().decode(message.data))

/** The next message of a subscription that `wanted` accepts, as a message. */
// One iterator a subscription: the clients refuse a second one, and leaving a `for await` ends the first.
const iterators = new WeakMap()
async function next(subscription, wanted = () => true) {
  if (!iterators.has(subscription)) iterators.set(subscription, subscription[Symbol.asyncIterator]())
  const iterator = iterators.get(subscription)
  for (;;) {
    const { value: message, done } = await iterator.next()
    if (done) throw new Error('the subscription ended')
    if (wanted(body(message))) return message
  }
}

for (const client of clients) {
  describe(client.name, { timeout: 120_000 }, () => {
    let appliance
    before(async () => { appliance = await Appliance.start() })
    after(() => appliance.stop())
    const open = (name, options = {}) => client.connect({ servers: appliance.websocket, token: appliance.tokens[name], name, ...options })

    test('connects by token and asks a service', async () => {
      const bob = await open('bob')
      const mine = body(await bob.request('room.mine', json({})))
      assert.equal(mine.me.username, 'bob')
      assert.ok(mine.rooms.some((room) => room.name === 'general'))
      await bob.drain()
    })

    test('a wrong token is an authorization error', async () => {
      await assert.rejects(client.connect({ servers: appliance.websocket, token: 'wrong' }), (error) => client.kind(error) === 'authorization')
    })

    test('a publish that is not allowed is a permission error', async () => {
      const bob = await open('bob')
      const seen = status(bob, client.statusError)
      bob.publish('chat.general', json({}))
      const error = await seen
      assert.equal(client.kind(error), 'permission')
      assert.deepEqual([client.permission(error).operation, client.permission(error).subject], ['publish', 'chat.general'])
      await bob.close()
    })

    test('a request that is not allowed is refused at once', async () => {
      const bob = await open('bob')
      await assert.rejects(bob.request('admin.users', json({})), (error) => client.kind(error) === 'permission')
      await bob.close()
    })

    test('a subscription that is not allowed is a permission error and ends', async () => {
      const bob = await open('bob')
      const subscription = bob.subscribe('deliver.alice.>')
      await assert.rejects(next(subscription), (error) => client.kind(error) === 'permission')
      const everything = bob.subscribe('>')
      await assert.rejects(next(everything), (error) => client.kind(error) === 'permission')
      assert.equal(body(await bob.request('room.mine', json({}))).me.username, 'bob', 'the connection goes on')
      await bob.close()
    })

    test('a request nobody answers is "no responders"', async () => {
      const bob = await open('bob')
      await assert.rejects(bob.request('translate.ping', json({})), (error) => client.kind(error) === 'no responders')
      await bob.close()
    })

    test('two people exchange a message, and edit, delete and react as both generations do', async () => {
      const [alice, bob] = [await open('alice'), await open('bob')]
      for (const [connection, userId] of [[alice, 'alice'], [bob, 'bob']]) await connection.request('room.join.general', json({ userId }))
      const notices = bob.subscribe('room.notify.general')
      await bob.flush()
      const send = async (message) => body(await alice.request('deliver.alice.send.general', json({ user: 'alice', ...message })))
      const noticed = async (action, timestamp) => body(await next(notices, (notice) => notice.action === action && notice.timestamp === timestamp))
      const inHistory = async (timestamp) => body(await bob.request('chat.history.general', json({}))).messages.find((message) => message.timestamp === timestamp)
      // Waits for the service that stores, which answers after it has acknowledged.
      const eventually = async (probe) => {
        for (const end = Date.now() + 10_000; ; ) {
          const found = await probe()
          if (found || Date.now() > end) return found
          await new Promise((resolve) => setTimeout(resolve, 25))
        }
      }

      for (const generation of ['first', 'second']) {
        const timestamp = Date.now() + (generation === 'first' ? 0 : 1_000)
        const target = (verb) => generation === 'first'
          ? { timestamp, room: 'general', ...(verb === 'react' ? { targetUser: 'alice' } : {}) }
          : { timestamp: timestamp + 500, [`${verb}Timestamp`]: timestamp, [`${verb}User`]: 'alice' }
        const sent = await send({ text: `hello from the ${generation}`, timestamp, room: 'general' })
        assert.equal(sent.ok, true, JSON.stringify(sent))
        const notice = await noticed('message', timestamp)
        assert.equal(notice.user, 'alice')
        assert.equal('text' in notice, false, 'a notice carries no text')
        assert.equal(body(await bob.request('msg.get', json({ notifyId: notice.notifyId, room: 'general' }))).text, `hello from the ${generation}`)

        assert.equal((await send({ action: 'edit', text: 'better', ...target('edit') })).ok, true)
        await noticed('edit', timestamp)
        assert.ok(await eventually(async () => (await inHistory(timestamp))?.text === 'better'), 'edited')

        assert.equal((await send({ action: 'react', text: '', emoji: '👍', ...target('react') })).ok, true)
        const reaction = await noticed('react', timestamp)
        assert.deepEqual([reaction.emoji, reaction.targetUser], ['👍', 'alice'])
        assert.ok(await eventually(async () => (await inHistory(timestamp))?.reactions?.['👍']?.includes('alice')), 'reacted')

        assert.equal((await send({ action: 'delete', text: '', ...target('delete') })).ok, true)
        await noticed('delete', timestamp)
        assert.ok(await eventually(async () => (await inHistory(timestamp))?.isDeleted), 'deleted')
      }
      await alice.close()
      await bob.close()
    })

    test('reconnects by itself after the server was killed and started again', async () => {
      const bob = await open('bob')
      const subscription = bob.subscribe('room.notify.general')
      await bob.flush()
      const back = status(bob, client.reconnected)
      await appliance.restart()
      await back
      assert.equal(body(await bob.request('room.mine', json({}))).me.username, 'bob')
      subscription.unsubscribe()
      await bob.close()
    })
  })

  test(`${client.name}: a token that runs out closes the connection as expired`, { timeout: 120_000 }, async () => {
    const appliance = await Appliance.start('3s')
    const bob = await client.connect({ servers: appliance.websocket, token: appliance.tokens.bob, reconnect: false })
    const error = await bob.closed()
    assert.equal(client.kind(error), 'expired')
    appliance.stop()
  })
}
