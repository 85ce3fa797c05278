import assert from 'node:assert/strict'
import { story } from '../support/story.mjs'

story('history survives kill -9, and open pages come back without losing or doubling anything', { people: ['alice', 'bob'] }, async ({ appliance, enter }) => {
  const alice = await enter('alice')
  const bob = await enter('bob')
  await alice.goTo('general')
  await bob.goTo('general')
  await alice.say('note 1 before')
  await bob.sees('note 1 before')
  await bob.say('note 2 before')
  await alice.sees('note 2 before')

  await appliance.kill()
  await alice.page.getByText(/^Reconnecting/).waitFor()
  await alice.say('note 3 while it was down')
  await alice.say('note 4 while it was down')
  await alice.page.getByText('Not sent. You are offline; it will go out by itself.').first().waitFor()

  await appliance.start()
  await bob.sees('note 4 while it was down', 20_000)
  await alice.page.getByText(/^Reconnecting/).waitFor({ state: 'detached' })
  await alice.page.getByText('You are offline').waitFor({ state: 'detached' })
  await bob.say('note 5 after')
  await alice.sees('note 5 after')

  const expected = ['note 1 before', 'note 2 before', 'note 3 while it was down', 'note 4 while it was down', 'note 5 after']
  for (const person of [alice, bob]) assert.deepEqual(await person.texts('note '), expected)
  for (const person of [alice, bob]) {
    await person.page.reload()
    await person.sees('note 5 after')
    assert.deepEqual(await person.texts('note '), expected, 'the same after a reload')
  }
})

story('a background room catches up after a restart', { people: ['alice', 'bob'] }, async ({ appliance, enter }) => {
  const alice = await enter('alice')
  const bob = await enter('bob')
  await alice.goTo('random')
  await bob.goTo('random')
  await bob.say('one')
  await alice.sees('one')
  await alice.goTo('general')
  await appliance.kill()
  await alice.page.getByText(/^Reconnecting/).waitFor()
  await appliance.start()
  await alice.page.getByText(/^Reconnecting/).waitFor({ state: 'detached', timeout: 20_000 })
  await bob.page.getByText(/^Reconnecting/).waitFor({ state: 'detached', timeout: 20_000 })
  await bob.say('two')
  await alice.rooms.getByRole('link', { name: 'random 1 unread' }).waitFor()
  await alice.goTo('random')
  await alice.sees('two')
  await alice.seesOnce('one')
})
