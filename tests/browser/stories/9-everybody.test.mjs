import assert from 'node:assert/strict'
import axe from 'axe-core'
import { story } from '../support/story.mjs'

/** What axe finds on the page as it is now, one line each. */
async function barriers(page) {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)}`))
}

for (const colorScheme of ['light', 'dark']) {
  story(`axe finds no barrier in the ${colorScheme} theme`, { people: ['alice', 'bob'] }, async ({ enter }) => {
    const bob = await enter('bob')
    await bob.goTo('general')
    await bob.say('@alice see `this`, and:\n- one\n- [two](https://example.org)\n```\ncode\n```')
    const alice = await enter('alice', { colorScheme, reducedMotion: 'reduce' })
    await alice.goTo('general')
    await alice.sees('see this')
    await alice.say('I see')
    await bob.sees('I see')
    assert.deepEqual(await barriers(alice.page), [], 'a room')

    await alice.message('see this').hover()
    await alice.message('see this').getByRole('button', { name: 'React' }).click()
    assert.deepEqual(await barriers(alice.page), [], 'the emoji')
    await alice.page.keyboard.press('Escape')

    await alice.page.getByRole('button', { name: /^Members/ }).click()
    await alice.page.getByRole('complementary', { name: 'Members' }).getByText('Bob User').waitFor()
    assert.deepEqual(await barriers(alice.page), [], 'the members')
    await alice.page.keyboard.press('Escape')

    await alice.message('see this').hover()
    await alice.message('see this').getByRole('button', { name: 'Reply in thread' }).click()
    await alice.page.getByRole('textbox', { name: 'Reply' }).fill('@bo')
    await alice.page.getByRole('option', { name: /Bob/ }).waitFor()
    assert.deepEqual(await barriers(alice.page), [], 'a thread and a mention')

    await alice.page.keyboard.press('Control+k')
    await alice.page.getByRole('option').first().waitFor()
    assert.deepEqual(await barriers(alice.page), [], 'the find box')
    await alice.page.keyboard.press('Escape')

    await alice.rooms.getByRole('button', { name: 'Create a private room' }).click()
    await alice.page.getByRole('button', { name: 'Create room' }).click()
    await alice.page.getByText('Give the room a name.').waitFor()
    assert.deepEqual(await barriers(alice.page), [], 'a dialog with a problem')
  })
}
