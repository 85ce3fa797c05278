// Somebody at a page. Everything is found the way a person or a screen reader finds it: by role and label.
import assert from 'node:assert/strict'

/** Lost connections are part of some stories, and browsers report each of them. */
const EXPECTED = /WebSocket|Failed to load resource|ERR_CONNECTION|net::ERR/

export class Person {
  console = []
  #errors = []

  constructor(page, url, who) {
    this.page = page
    this.url = url
    this.who = who
    page.setDefaultTimeout(10_000)
    page.on('console', (message) => this.console.push(`${message.type()}: ${message.text()}`))
    page.on('pageerror', (error) => this.#errors.push(error.stack ?? String(error)))
  }

  get composer() {
    return this.page.getByRole('textbox', { name: /^Message / })
  }

  get log() {
    return this.page.getByRole('log', { name: /^Messages in/ })
  }

  get rooms() {
    return this.page.getByRole('navigation', { name: 'Rooms' })
  }

  message(text) {
    return this.log.getByRole('article').filter({ hasText: text })
  }

  async signIn(path = '/') {
    await this.page.goto(this.url + path)
    await this.page.getByLabel(/user ?name/i).fill(this.who.username)
    await this.page.getByLabel(/password/i).first().fill(this.who.password)
    await this.page.getByRole('button', { name: /sign in/i }).click()
    await this.rooms.or(this.composer).first().waitFor()
  }

  async goTo(room) {
    await this.rooms.getByRole('link', { name: new RegExp(`(^|\\s)${room}( \\d|$)`) }).click()
    await this.page.getByRole('heading', { level: 1, name: room, exact: true }).waitFor()
    await this.composer.waitFor()
  }

  async say(text) {
    await this.composer.fill(text)
    await this.composer.press('Enter')
  }

  async sees(text, timeout = 5_000) {
    await this.message(text).first().waitFor({ timeout })
  }

  async seesOnce(text) {
    assert.equal(await this.message(text).count(), 1, `${this.who.username} sees "${text}" once`)
  }

  /** The texts on screen that contain `part`, top to bottom. */
  async texts(part) {
    const all = await this.log.getByRole('article').allInnerTexts()
    return all.flatMap((text) => text.split('\n')).map((line) => line.trim()).filter((line) => line.includes(part))
  }

  assertNoTrouble() {
    assert.deepEqual(this.#errors, [], `${this.who.username}'s page threw`)
    const bad = this.console.filter((line) => line.startsWith('error:') && !EXPECTED.test(line))
    assert.deepEqual(bad, [], `${this.who.username}'s console`)
  }
}
