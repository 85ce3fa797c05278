// The two generations of the JavaScript client, and where they call the same thing differently.
import WebSocket from 'ws'

globalThis.WebSocket = WebSocket // Node 20 has none of its own
const legacy = await import('nats.ws')
const core = await import('@nats-io/nats-core')

export const clients = [
  {
    name: 'nats.ws 1.30',
    connect: (options) => legacy.connect(options),
    kind: (error) => (error.permissionContext ? 'permission' : { 503: 'no responders', AUTHORIZATION_VIOLATION: 'authorization', AUTHENTICATION_EXPIRED: 'expired', PERMISSIONS_VIOLATION: 'permission' }[error.code] ?? String(error)),
    permission: (error) => error.permissionContext,
    statusError: (status) => (status.type === 'error' ? (status.permissionContext ? { code: 'PERMISSIONS_VIOLATION', permissionContext: status.permissionContext } : { code: status.data }) : null),
    reconnected: (status) => status.type === 'reconnect',
  },
  {
    name: '@nats-io/nats-core 3',
    connect: (options) => core.wsconnect(options),
    kind: (error) => {
      if (error instanceof core.errors.RequestError && error.isNoResponders()) return 'no responders'
      if (error instanceof core.errors.NoRespondersError) return 'no responders'
      const cause = error.cause instanceof core.errors.PermissionViolationError ? error.cause : error
      if (cause instanceof core.errors.PermissionViolationError) return 'permission'
      if (error instanceof core.errors.AuthorizationError) return 'authorization'
      if (error instanceof core.errors.UserAuthenticationExpiredError) return 'expired'
      return String(error)
    },
    permission: (error) => {
      const cause = error instanceof core.errors.PermissionViolationError ? error : error.cause
      return { operation: cause.operation, subject: cause.subject }
    },
    statusError: (status) => (status.type === 'error' ? status.error : null),
    reconnected: (status) => status.type === 'reconnect',
  },
]

/** The first status of a connection for which `pick` gives something. */
export async function status(connection, pick) {
  for await (const one of connection.status()) {
    const found = pick(one)
    if (found) return found
  }
  throw new Error('the connection closed first')
}
