import assert from 'node:assert/strict'
import { story } from '../support/story.mjs'

story('everything by keyboard alone', { people: ['alice', 'bob'] }, async ({ open, enter, appliance }) => {
  const bob = await enter('bob')
  await bob.goTo('random')
  const alice = await open({ username: 'alice', name: 'Alice Admin', password: 'correct horse alice' })
  const { page } = alice
  const { keyboard } = page

  await page.goto(appliance.url)
  await page.getByLabel(/user ?name/i).focus()
  await keyboard.type('alice')
  await keyboard.press('Tab')
  await keyboard.type(alice.who.password)
  await keyboard.press('Enter')
  await alice.composer.waitFor()

  // Switch rooms: find box, type, Enter.
  await keyboard.press('Control+k')
  await keyboard.type('rand')
  await page.getByRole('option', { name: /random/ }).waitFor()
  await keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'random' }).waitFor()

  // The composer has the focus: mention somebody, break a line, send.
  await page.waitForFunction(() => document.activeElement?.tagName === 'TEXTAREA')
  await keyboard.type('Dear @bo')
  await page.getByRole('option', { name: /Bob User/ }).waitFor()
  await keyboard.press('Tab')
  await keyboard.press('Shift+Enter')
  await keyboard.type('good morning')
  await keyboard.press('Enter')
  await bob.sees('good morning')
  await bob.sees('@bob')

  // Arrow up edits the last message; Escape leaves it alone; focus comes back.
  await keyboard.press('ArrowUp')
  await page.getByRole('textbox', { name: 'Edit message' }).waitFor()
  await keyboard.type(', neighbour')
  await keyboard.press('Enter')
  await bob.sees('good morning, neighbour')

  // Walk through the messages and react.
  await alice.log.focus()
  await keyboard.press('ArrowUp')
  await page.waitForFunction(() => document.activeElement?.tagName === 'ARTICLE')
  for (let stop = 0; stop < 12 && (await focusedLabel(page)) !== 'React'; stop++) await keyboard.press('Tab')
  assert.equal(await focusedLabel(page), 'React')
  await keyboard.press('Enter')
  await page.getByRole('menuitem', { name: 'Thumbs up' }).waitFor()
  await keyboard.press('ArrowRight')
  await keyboard.press('Enter')
  await bob.page.getByRole('button', { name: /^❤️ 1/ }).waitFor()

  // The room list is one stop, arrows move in it.
  await alice.rooms.getByRole('link', { name: /random/ }).focus()
  await keyboard.press('Home')
  assert.match(await page.evaluate(() => document.activeElement?.textContent ?? ''), /general/)
  await keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'general' }).waitFor()

  // A dialog takes the focus, Escape closes it, and the focus returns.
  const create = alice.rooms.getByRole('button', { name: 'Create a private room' })
  await create.focus()
  await keyboard.press('Enter')
  await page.getByRole('dialog', { name: 'Create a private room' }).waitFor()
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'INPUT')
  await keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  assert.equal(await focusedLabel(page), 'Create a private room')
})

function focusedLabel(page) {
  return page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? '')
}
