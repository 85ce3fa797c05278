import assert from 'node:assert/strict'
import { story } from '../support/story.mjs'

story('a private room is created, shared with one person, and hidden from everybody else', { people: ['alice', 'bob', 'carol'] }, async ({ enter }) => {
  const alice = await enter('alice')
  const bob = await enter('bob')
  const carol = await enter('carol')

  await alice.rooms.getByRole('button', { name: 'Create a private room' }).click()
  await alice.page.getByLabel('Name').fill('general')
  await alice.page.getByRole('button', { name: 'Create room' }).click()
  await alice.page.getByText('That room name is taken. Try general-2.').waitFor()
  await alice.page.getByLabel('Name').fill('Secret Plans')
  await alice.page.keyboard.press('Enter')
  await alice.page.getByRole('heading', { level: 1, name: 'secret-plans', exact: true }).waitFor()

  await alice.page.getByRole('button', { name: /^Members/ }).click()
  const members = alice.page.getByRole('complementary', { name: 'Members' })
  await members.getByRole('button', { name: 'Invite somebody' }).click()
  await alice.page.getByRole('combobox', { name: /^Who should join/ }).fill('bob')
  await alice.page.getByRole('option', { name: /Bob User/ }).click()
  await members.getByText('Bob User').waitFor()
  await members.getByText('Owner').waitFor()

  await bob.goTo('secret-plans')
  await alice.say('just between us')
  await bob.sees('just between us')
  await bob.say('understood')
  await alice.sees('understood')

  assert.equal(await carol.rooms.getByText('secret-plans').count(), 0, 'not in the list of somebody else')
  await carol.page.goto(`${carol.url}/r/secret-plans`)
  await carol.page.getByText('There is no such room for you').waitFor()
  await carol.page.goto(`${carol.url}/r/no-such-room-at-all`)
  await carol.page.getByText('There is no such room for you').waitFor()

  await members.getByRole('button', { name: 'Remove Bob User' }).click()
  await bob.page.getByText('There is no such room for you').waitFor()
  await bob.rooms.getByText('secret-plans').waitFor({ state: 'detached' })
})

story('a direct message is started, and stays between two', { people: ['alice', 'bob', 'carol'] }, async ({ enter }) => {
  const alice = await enter('alice')
  const bob = await enter('bob')
  const carol = await enter('carol')
  await alice.rooms.getByRole('button', { name: 'Start a direct message' }).click()
  await alice.page.getByRole('combobox', { name: 'Who do you want to write to?' }).fill('bob')
  await alice.page.getByRole('option', { name: /Bob User/ }).waitFor()
  await alice.page.keyboard.press('Enter')
  await alice.page.getByRole('heading', { level: 1, name: 'Bob User' }).waitFor()
  await alice.say('psst')
  await alice.sees('psst')

  await bob.rooms.getByRole('link', { name: /Alice Admin.*1 for you/ }).click()
  await bob.sees('psst')
  await bob.say('what is it')
  await alice.sees('what is it')
  assert.equal(await carol.rooms.getByRole('link', { name: /Alice Admin|Bob User/ }).count(), 0)
})

story('presence shows who is here, and a chosen status', { people: ['alice', 'bob'] }, async ({ enter }) => {
  const alice = await enter('alice')
  const bob = await enter('bob')
  await alice.goTo('general')
  await alice.page.getByRole('button', { name: /^Members/ }).click()
  const line = alice.page.getByRole('complementary', { name: 'Members' }).getByRole('listitem').filter({ hasText: 'Bob User' })
  await line.getByText('online').waitFor()
  await bob.page.getByRole('button', { name: /^Bob User,/ }).click()
  await bob.page.getByRole('menuitemradio', { name: 'Busy' }).click()
  await line.getByText('busy').waitFor()
  await bob.page.context().close()
  await line.getByText('offline').waitFor({ timeout: 15_000 })
})
