/** From an empty page to a connected client, once. */
import { ChatClient } from './client/chat'
import { loadConfig, type PageConfig } from './client/config'
import { Session } from './client/session'
import type { Stage } from './routes'

let begun = false

export async function begin(show: (stage: Stage) => void): Promise<void> {
  if (begun) return
  begun = true
  if (!window.isSecureContext) return show({ stage: 'insecure' })
  let config: PageConfig
  try {
    config = await loadConfig()
  } catch (error) {
    return show({ stage: 'unreachable', problem: textOf(error) })
  }
  document.title = config.workspace
  if (config.setupNeeded) return show({ stage: 'setup' })
  try {
    const session = await Session.start(config)
    if (!session) return
    const client = new ChatClient(session, config.natsUrl)
    session.onEnded = () => {
      void client.stop()
      show({ stage: 'ended' })
    }
    client.start()
    show({ stage: 'ready', chat: { client, session, config } })
  } catch (error) {
    show({ stage: 'refused', problem: textOf(error) })
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
