import { story } from '../support/story.mjs'

story('a refused message says why, keeps its text, and goes out when tried again', { people: ['alice', 'bob'] }, async ({ open, enter }) => {
  const bob = await enter('bob')
  const alice = await open({ username: 'alice', name: 'Alice Admin', password: 'correct horse alice' })

  // On its way out the author's name is bent, once: the server refuses to let anybody speak for somebody else.
  let bent = 0
  await alice.page.routeWebSocket(/nats-ws/, (socket) => {
    const server = socket.connectToServer()
    socket.onMessage((frame) => {
      const bytes = Buffer.from(frame)
      const at = bytes.includes('bend me') && bent === 0 ? bytes.indexOf('"user":"alice"') : -1
      if (at >= 0) {
        bytes.write('"user":"alicf"', at)
        bent += 1
      }
      server.send(bytes)
    })
  })
  await alice.signIn()
  await alice.goTo('general')
  await bob.goTo('general')
  await alice.say('please bend me')
  await alice.page.getByText(/^Not sent\. /).waitFor()
  await bob.say('something in between')
  await alice.sees('something in between')
  await alice.page.getByRole('button', { name: 'Try again' }).click()
  await bob.sees('please bend me')
  await alice.page.getByText(/^Not sent\. /).waitFor({ state: 'detached' })
  await alice.seesOnce('please bend me')
  await bob.seesOnce('please bend me')
})

story('what was typed and not sent is still there after a reload', { people: ['alice'] }, async ({ enter }) => {
  const alice = await enter('alice')
  await alice.goTo('general')
  await alice.composer.fill('half a thought')
  await alice.goTo('random')
  await alice.page.reload()
  await alice.goTo('general')
  await alice.page.waitForFunction(() => document.querySelector('textarea')?.value === 'half a thought')
})
