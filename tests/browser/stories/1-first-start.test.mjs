import assert from 'node:assert/strict'
import { story } from '../support/story.mjs'

const FOUNDER = { username: 'founder', name: 'Fay Founder', password: 'a good long password' }

story('the setup link makes the first administrator, who lands in #general', {}, async ({ appliance, open }) => {
  assert.ok(appliance.setupUrl, 'the first start prints a setup link')
  const fay = await open(FOUNDER)

  await fay.page.goto(appliance.url)
  await fay.page.getByRole('heading', { name: 'Almost there' }).waitFor()

  await fay.page.goto(appliance.setupUrl)
  await fay.page.getByLabel(/your name/i).fill(FOUNDER.name)
  await fay.page.getByLabel(/user ?name/i).fill(FOUNDER.username)
  for (const field of await fay.page.locator('input[type=password]').all()) await field.fill(FOUNDER.password)
  await fay.page.getByLabel(/workspace/i).fill('Marsh Works')
  await fay.page.getByRole('button').first().click()

  // Setup may sign her in at once, or ask her to.
  const password = fay.page.getByLabel(/password/i)
  await fay.composer.or(password).first().waitFor()
  if (await password.first().isVisible()) await fay.signIn()
  await fay.page.getByRole('heading', { level: 1, name: 'general' }).waitFor()
  await fay.rooms.getByText('Marsh Works').waitFor()
  await fay.say('First!')
  await fay.sees('First!')

  await fay.page.getByRole('button', { name: /^Fay Founder,/ }).click()
  await fay.page.getByText('administrator').waitFor()
  await fay.page.getByRole('menuitem', { name: /^Sign out/ }).click()
  await fay.page.getByLabel(/password/i).first().waitFor()

  await fay.page.goto(appliance.setupUrl)
  assert.equal(await fay.page.locator('input[type=password]').count(), 0, 'the setup link works once')
})

story('a wrong password is said under the form, and the right one still works', { people: ['alice'] }, async ({ open, appliance }) => {
  const alice = await open({ username: 'alice', name: 'Alice Admin', password: 'correct horse alice' })
  await alice.page.goto(appliance.url)
  await alice.page.getByLabel(/user ?name/i).fill('alice')
  await alice.page.getByLabel(/password/i).first().fill('wrong')
  await alice.page.getByRole('button', { name: /sign in/i }).click()
  await alice.page.getByText(/wrong|does not match|incorrect/i).first().waitFor()
  await alice.page.getByLabel(/user ?name/i).fill('alice')
  await alice.page.getByLabel(/password/i).first().fill(alice.who.password)
  await alice.page.getByRole('button', { name: /sign in/i }).click()
  await alice.composer.waitFor()
})
