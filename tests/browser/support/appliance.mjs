// One natterjack of its own: started on free ports with an empty data directory, killed, restarted, thrown away.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import readline from 'node:readline'

const START_MS = 20_000
const STOP_MS = 10_000

/** The environment without settings: natterjack refuses NATTERJACK_ names that it does not know. */
function plain() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NATTERJACK_')))
}

export class Appliance {
  #process
  #stderr = ''
  #http = '127.0.0.1:0'

  constructor({ demo = false } = {}) {
    this.demo = demo
    this.dataDir = mkdtempSync(path.join(tmpdir(), 'natterjack-story-'))
  }

  static async start(options) {
    const appliance = new Appliance(options)
    await appliance.start()
    return appliance
  }

  /** Starts, or starts again at the same address. */
  async start() {
    const flags = ['serve', '--data-dir', this.dataDir, '--http-listen', this.#http, '--nats-listen', '127.0.0.1:0', ...(this.demo ? ['--demo'] : [])]
    const child = spawn(process.env.NATTERJACK_BIN, flags, { stdio: ['ignore', 'pipe', 'pipe'], env: plain() })
    this.#process = child
    child.stderr.on('data', (data) => (this.#stderr = (this.#stderr + data).slice(-8_000)))
    const lines = await this.#banner(child)
    this.url = /natterjack is at (\S+)/.exec(lines[0] ?? '')?.[1]
    this.setupUrl = lines.map((line) => /^\s*setup\s+(\S+)/.exec(line)?.[1]).find(Boolean) ?? null
    this.#http = `127.0.0.1:${new URL(this.url).port}`
  }

  /** The first lines, up to the empty one; fails with the log when the process ends before. */
  async #banner(child) {
    const lines = []
    const reader = readline.createInterface({ input: child.stdout })
    const timer = setTimeout(() => child.kill('SIGKILL'), START_MS)
    for await (const line of reader) {
      if (line === '') break
      lines.push(line)
    }
    clearTimeout(timer)
    child.stdout.resume()
    if (lines.length === 0) throw new Error(`natterjack did not start:\n${this.#stderr}`)
    return lines
  }

  /** Adds an account beside the running server. */
  addUser({ username, name, password, admin = false }) {
    const roles = ['--role', 'user', ...(admin ? ['--role', 'admin'] : [])]
    const added = spawnSync(process.env.NATTERJACK_BIN, ['user', 'add', username, '--display-name', name, ...roles, '--password-stdin', '--data-dir', this.dataDir], {
      input: `${password}\n`,
      encoding: 'utf8',
      env: plain(),
    })
    if (added.status !== 0) throw new Error(`user add ${username}: ${added.stderr}${added.stdout}`)
  }

  /** Pulls the plug: no goodbye, no flush. */
  async kill() {
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }

  async remove() {
    const child = this.#process
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      child.kill('SIGTERM')
      await ended
      clearTimeout(timer)
    }
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  get log() {
    return this.#stderr
  }
}
