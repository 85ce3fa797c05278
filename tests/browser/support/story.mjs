// A story: an appliance, a browser, and the people in front of it.
import { existsSync, mkdirSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { Appliance } from './appliance.mjs'
import { Person } from './person.mjs'

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-dev-shm-usage',
]
const STORY_MS = 120_000
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

export const SCREENSHOTS = fileURLToPath(new URL('../screenshots/', import.meta.url))

export const PEOPLE = {
  alice: { username: 'alice', name: 'Alice Admin', password: 'correct horse alice', admin: true },
  bob: { username: 'bob', name: 'Bob User', password: 'correct horse bob' },
  carol: { username: 'carol', name: 'Carol Guest', password: 'correct horse carol' },
}

/** `tell` gets the appliance and `enter`, which opens a browser of their own for somebody and signs them in. */
export function story(title, options, tell) {
  test(title, { timeout: STORY_MS }, async (context) => {
    mkdirSync(SCREENSHOTS, { recursive: true })
    const appliance = await Appliance.start({ demo: options.demo })
    const browser = await chromium.launch({ executablePath: executable(), args: FLAGS })
    const people = []
    try {
      for (const username of options.people ?? []) appliance.addUser(PEOPLE[username])
      const open = async (who, how = {}) => {
        const browserContext = await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 800 }, baseURL: appliance.url, ...how })
        const person = new Person(await browserContext.newPage(), appliance.url, who)
        people.push(person)
        return person
      }
      const enter = async (username, how) => {
        const person = await open(options.demo ? { username, name: username, password: `${username}123` } : PEOPLE[username], how)
        await person.signIn()
        return person
      }
      await tell({ appliance, open, enter, context })
      for (const person of people) person.assertNoTrouble()
    } catch (error) {
      await picture(title, people)
      console.error(appliance.log)
      throw error
    } finally {
      await browser.close()
      await appliance.remove()
    }
  })
}

async function picture(title, people) {
  for (const [index, person] of people.entries()) {
    const name = `failed ${title} ${index + 1} ${person.who.username}`.replaceAll(/[^\w]+/g, '-')
    await person.page.screenshot({ path: `${SCREENSHOTS}${name}.png` }).catch(() => undefined)
    for (const line of person.console) console.error(`  [${person.who.username}] ${line}`)
  }
}

function executable() {
  const found = [process.env.CHROMIUM, ...PLACES].find((place) => place && existsSync(place))
  if (!found) throw new Error('no Chromium found: install Debian’s package chromium, or name the program in CHROMIUM')
  return found
}
