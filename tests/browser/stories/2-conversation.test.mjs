import assert from 'node:assert/strict'
import { story } from '../support/story.mjs'

const SECOND = 1_000

story('two people talk, and each sees the other within a second', { people: ['alice', 'bob'] }, async ({ enter }) => {
  const alice = await enter('alice')
  const bob = await enter('bob')
  await alice.goTo('general')
  await bob.goTo('general')
  await alice.say('Are you there?')
  await bob.sees('Are you there?', SECOND)
  await bob.say('Yes, **here**.')
  await alice.sees('Yes, here.', SECOND)
  assert.equal(await alice.message('Yes, here.').locator('strong').innerText(), 'here')
  for (const person of [alice, bob]) {
    await person.seesOnce('Are you there?')
    await person.seesOnce('Yes, here.')
  }
})

story('messages are edited, reacted to and deleted, for everybody', { people: ['alice', 'bob'] }, async ({ enter }) => {
  const alice = await enter('alice')
  const bob = await enter('bob')
  await alice.goTo('random')
  await bob.goTo('random')
  await alice.say('Lunch at one')
  await bob.sees('Lunch at one')

  await alice.message('Lunch at one').hover()
  await alice.message('Lunch at one').getByRole('button', { name: 'Edit' }).click()
  await alice.page.getByRole('textbox', { name: 'Edit message' }).fill('Lunch at two')
  await alice.page.keyboard.press('Enter')
  await bob.sees('Lunch at two')
  await bob.message('(edited)').waitFor()

  await bob.message('Lunch at two').hover()
  await bob.message('Lunch at two').getByRole('button', { name: 'React' }).click()
  await bob.page.getByRole('menuitem', { name: 'Frog' }).click()
  await alice.page.getByRole('button', { name: /^🐸 1/ }).waitFor()
  await alice.page.getByRole('button', { name: /^🐸 1/ }).click()
  await bob.page.getByRole('button', { name: /^🐸 2/ }).waitFor()
  assert.equal(await bob.message('Lunch at two').getByRole('button', { name: 'Delete' }).count(), 0, 'only the author can delete')

  await alice.message('Lunch at two').hover()
  await alice.message('Lunch at two').getByRole('button', { name: 'Delete' }).click()
  await bob.sees('This message was deleted.')
  await bob.page.reload()
  await bob.sees('This message was deleted.')
})

story('a thread is opened, answered and counted', { people: ['alice', 'bob'] }, async ({ enter }) => {
  const alice = await enter('alice')
  const bob = await enter('bob')
  await alice.goTo('general')
  await bob.goTo('general')
  await alice.say('Who brings the cake?')
  await bob.sees('Who brings the cake?')
  await bob.message('Who brings').hover()
  await bob.message('Who brings').getByRole('button', { name: 'Reply in thread' }).click()
  await bob.page.getByRole('textbox', { name: 'Reply' }).fill('I do')
  await bob.page.keyboard.press('Enter')
  await alice.page.getByRole('button', { name: '1 reply' }).click()
  await alice.page.getByRole('log', { name: 'Replies' }).getByText('I do').waitFor()
  assert.equal(await alice.message('I do').count(), 0, 'replies stay out of the room')
})

story('unread rooms and mentions are counted, and stay counted over a reload', { people: ['alice', 'bob'] }, async ({ enter }) => {
  const alice = await enter('alice')
  const bob = await enter('bob')
  await alice.goTo('general')
  await bob.goTo('random')
  await bob.say('nothing special')
  await bob.say('@alice have a look')
  await alice.rooms.getByRole('link', { name: 'random 1 for you' }).waitFor()
  await alice.page.reload()
  await alice.rooms.getByRole('link', { name: 'random 1 for you' }).waitFor()
  assert.match(await alice.page.title(), /^\(2\) /)
  await alice.goTo('random')
  await alice.page.getByText('New', { exact: true }).waitFor()
  await alice.rooms.getByRole('link', { name: 'random', exact: true }).waitFor()
})

story('history loads on scrolling up, without moving what is read', { people: ['alice'] }, async ({ enter }) => {
  const alice = await enter('alice')
  await alice.goTo('help')
  // More than a page; sent as fast as the server lets one person send.
  for (let number = 1; number <= 55; number++) await alice.say(`line ${String(number).padStart(3, '0')}`)
  await alice.sees('line 055')
  await alice.page.waitForFunction(() => document.querySelectorAll('[role=log] article').length >= 55)
  await alice.page.getByText(/very fast|offline/).waitFor({ state: 'detached', timeout: 90_000 })
  await alice.page.reload()
  await alice.sees('line 055')
  assert.equal(await alice.message('line 001').count(), 0, 'only the newest page is loaded')
  await alice.log.evaluate((log) => log.scrollTo(0, 120))
  await alice.sees('line 001')
  const lines = await alice.texts('line ')
  assert.deepEqual(lines, lines.toSorted(), 'in order')
  assert.equal(new Set(lines).size, 55)
  const top = await alice.log.evaluate((log) => log.scrollTop)
  assert.ok(top > 120, 'the page grew above what is read')
})
