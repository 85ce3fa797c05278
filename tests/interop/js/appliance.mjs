// Starts the appliance through the harness (tests/examples/appliance.rs), which also signs its users in.
import { spawn } from 'node:child_process'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'

const program = process.env.NATTERJACK_APPLIANCE ?? fileURLToPath(new URL('../../../target/debug/examples/appliance', import.meta.url))

export class Appliance {
  static async start(...flags) {
    const appliance = new Appliance()
    appliance.process = spawn(program, flags, { stdio: ['pipe', 'pipe', 'inherit'] })
    appliance.lines = readline.createInterface({ input: appliance.process.stdout })[Symbol.asyncIterator]()
    Object.assign(appliance, JSON.parse(await appliance.line()))
    return appliance
  }

  async line() {
    const { value, done } = await this.lines.next()
    if (done) throw new Error('the appliance ended')
    return value
  }

  async restart() {
    this.process.stdin.write('restart\n')
    await this.line()
  }

  stop() {
    this.process.stdin.end()
  }
}
