// Runs the stories one after another and ends with a summary and an exit code.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const wanted = process.argv.slice(2)
const stories = readdirSync(`${here}stories`)
  .filter((name) => name.endsWith('.test.mjs') && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .map((name) => `stories/${name}`)

if (!process.env.NATTERJACK_BIN) {
  console.error('NATTERJACK_BIN is not set: it names the natterjack binary to try, for example target/debug/natterjack')
  process.exit(2)
}
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=spec', ...stories], {
  cwd: here,
  stdio: 'inherit',
})
process.exit(status ?? 1)
