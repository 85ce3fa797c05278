/** What the server tells the page before anybody signs in. */
import { fields } from '../wire/decode'

export interface PageConfig {
  workspace: string
  clientId: string
  authority: string
  natsUrl: string
  setupNeeded: boolean
  version: string
}

export async function loadConfig(): Promise<PageConfig> {
  const response = await fetch('/config.json', { cache: 'no-store' })
  if (!response.ok) throw new Error(`/config.json answered ${response.status}`)
  const config = fields(await response.json())
  const text = (key: string, otherwise: string) => {
    const value = config[key]
    return typeof value === 'string' && value !== '' ? value : otherwise
  }
  return {
    workspace: text('workspace', 'natterjack'),
    clientId: text('clientId', 'natterjack-web'),
    authority: absolute(text('authority', `/auth/realms/${text('realm', 'natterjack')}`), 'http'),
    natsUrl: absolute(text('natsUrl', '/nats-ws'), 'ws'),
    setupNeeded: config.setupNeeded === true,
    version: text('version', ''),
  }
}

function absolute(address: string, scheme: 'http' | 'ws'): string {
  const url = new URL(address, window.location.origin)
  if (scheme === 'ws') url.protocol = url.protocol.replace('http', 'ws')
  return url.href
}
