import { statSync } from 'node:fs'
import assert from 'node:assert/strict'
import { SCREENSHOTS, story } from '../support/story.mjs'

const PICTURE = process.env.NATTERJACK_SCREENSHOT || `${SCREENSHOTS}readme.png`
const PICTURE_BYTES_MAX = 300_000

story('the README’s picture: the demo workspace as alice sees it', { demo: true }, async ({ enter }) => {
  const bob = await enter('bob')
  const alice = await enter('alice', { viewport: { width: 1360, height: 860 }, colorScheme: 'light' })
  await alice.goTo('general')
  await alice.log.getByRole('article').first().waitFor()
  await bob.goTo('random')
  await bob.say('@alice the new box is in the barn')
  await alice.rooms.getByRole('link', { name: /random \d+ for you/ }).waitFor()
  await alice.page.evaluate(() => document.fonts.ready)
  await alice.page.screenshot({ path: PICTURE })
  assert.ok(statSync(PICTURE).size < PICTURE_BYTES_MAX, 'small enough for a README')
})
