// Starts the broker through the harness (tests/examples/broker.rs).
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'

const program = process.env.NATTERJACK_BROKER ?? fileURLToPath(new URL('../../../target/debug/examples/broker', import.meta.url))
const patience = 20_000

export class Broker {
  static async start() {
    const broker = new Broker()
    broker.process = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] })
    broker.lines = readline.createInterface({ input: broker.process.stdout })[Symbol.asyncIterator]()
    Object.assign(broker, JSON.parse(await broker.line()))
    return broker
  }

  async line() {
    const { value, done } = await this.lines.next()
    if (done) throw new Error('the broker ended')
    return value
  }

  /** Kills the server without warning and starts it again on the same data. */
  async restart() {
    this.process.stdin.write('restart\n')
    await this.line()
  }

  stop() {
    this.process.stdin.end()
  }
}

/** Asks again until `probe` gives something true. */
export async function eventually(what, probe) {
  for (const end = Date.now() + patience; ; ) {
    const found = await probe()
    if (found) return found
    assert.ok(Date.now() < end, `still not so: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** The first `count` things of an asynchronous iterator, which then ends. */
export async function take(iterator, count) {
  const taken = []
  if (count === 0) return taken
  for await (const one of iterator) {
    taken.push(one)
    if (taken.length === count) break
  }
  return taken
}

/** Everything of an asynchronous iterator. */
export async function all(iterator) {
  const taken = []
  for await (const one of iterator) taken.push(one)
  return taken
}

/** Checks that a promise fails with this JetStream error code. */
export function refused(promise, code) {
  return assert.rejects(promise, (error) => {
    const given = error.apiError?.()?.err_code ?? error.api_error?.err_code ?? error.cause?.apiError?.()?.err_code ?? error.code
    assert.equal(given, code, String(error))
    return true
  })
}
