import assert from 'node:assert/strict'
import { SCREENSHOTS, story } from '../support/story.mjs'

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }

story('on a phone: rooms first, one column, no sideways scrolling', { people: ['alice', 'bob'] }, async ({ enter }) => {
  const alice = await enter('alice', PHONE)
  await alice.rooms.getByRole('link', { name: /general/ }).click()
  await alice.composer.waitFor()
  assert.equal(await alice.rooms.isVisible(), false, 'one column at a time')
  await alice.say('a word from the train, with `a_rather_long_piece_of_code_that_does_not_break_anywhere_by_itself()` in it')
  await alice.sees('a word from the train')
  const wide = await alice.page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)
  assert.equal(wide, false, 'nothing sticks out')
  await alice.page.screenshot({ path: `${SCREENSHOTS}phone-room.png` })
  const small = await alice.page.getByRole('button').or(alice.page.getByRole('link')).evaluateAll((controls) =>
    controls.filter((control) => control.checkVisibility({ opacityProperty: true }) && control.getBoundingClientRect().height < 40).map((control) => control.textContent || control.ariaLabel))
  assert.deepEqual(small, [], 'everything is large enough to touch')
  await alice.page.getByRole('link', { name: 'All rooms' }).click()
  await alice.rooms.waitFor()
  await alice.page.getByRole('link', { name: 'You', exact: true }).click()
  await alice.page.getByRole('menuitem', { name: /^Sign out/ }).waitFor()
})

story('a chosen theme is there from the first paint, and stays', { people: ['alice'] }, async ({ enter }) => {
  const alice = await enter('alice', { colorScheme: 'light' })
  const background = () => alice.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  const light = await background()
  await alice.page.getByRole('button', { name: /^Alice Admin,/ }).click()
  await alice.page.getByRole('menuitemradio', { name: 'Dark' }).click()
  const dark = await background()
  assert.notEqual(dark, light)
  await alice.page.reload({ waitUntil: 'commit' })
  await alice.page.waitForFunction(() => document.body !== null)
  assert.equal(await alice.page.evaluate(() => document.documentElement.dataset.theme), 'dark', 'set before anything is drawn')
  await alice.composer.waitFor()
  assert.equal(await background(), dark)
  await alice.page.screenshot({ path: `${SCREENSHOTS}dark.png` })
})

story('nothing is asked of other hosts', { people: ['alice'] }, async ({ open, appliance }) => {
  const alice = await open({ username: 'alice', name: 'Alice Admin', password: 'correct horse alice' })
  const hosts = new Set()
  alice.page.on('request', (request) => hosts.add(new URL(request.url()).host))
  await alice.signIn()
  await alice.goTo('general')
  await alice.say('quiet')
  await alice.sees('quiet')
  assert.deepEqual([...hosts], [new URL(appliance.url).host])
})
