import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { SCREENSHOTS, story } from '../support/story.mjs'

const PICTURE = process.env.NATTERJACK_SCREENSHOT || `${SCREENSHOTS}readme.png`
const PICTURE_BYTES_MAX = 300_000

story('the README’s picture: the demo workspace as alice sees it', { demo: true }, async ({ enter }) => {
  // Somebody is here, and somebody wants something.
  const bob = await enter('bob')
  const diana = await enter('diana')
  await bob.goTo('launch')
  await diana.goTo('random')
  await diana.say('@alice the new box is in the barn')
  await diana.page.getByRole('button', { name: /^Diana Manager,/ }).click()
  await diana.page.getByRole('menuitemradio', { name: 'Away' }).click()

  const alice = await enter('alice', { viewport: { width: 1360, height: 860 }, colorScheme: 'light' })
  await alice.rooms.getByRole('link', { name: /random \d+ for you/ }).waitFor()
  await alice.goTo('launch')
  await alice.page.getByText('New', { exact: true }).waitFor()
  await alice.log.getByRole('button', { name: /repl(y|ies)$/ }).click()
  await alice.page.getByRole('log', { name: 'Replies' }).getByRole('article').first().waitFor()
  await alice.log.evaluate((log) => log.scrollTo(0, log.scrollHeight))
  await alice.page.mouse.move(0, 0)
  await alice.page.evaluate(() => document.fonts.ready)
  await alice.page.screenshot({ path: PICTURE, animations: 'disabled' })
  assert.ok(statSync(PICTURE).size < PICTURE_BYTES_MAX, 'small enough for a README')
})
