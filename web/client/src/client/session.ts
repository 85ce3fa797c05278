/**
 * Signing in and staying signed in.
 *
 * Tokens live in the tab's session storage. The access token is renewed well before it runs out, without touching the
 * connection: whoever connects next asks for the current one.
 */
import { ErrorResponse, type User, UserManager, WebStorageStateStore } from 'oidc-client-ts'
import { fields } from '../wire/decode'
import type { PageConfig } from './config'

const RENEW_BEFORE_SECONDS = 60
const RENEW_RETRY_MS = 5_000
const TAB_LOCK_WAIT_MS = 400
const TAB_KEY = 'natterjack.tab'
/** Answers of the token endpoint after which only a new sign-in helps; anything else is worth another try. */
const FINAL = new Set(['invalid_grant', 'invalid_client', 'unauthorized_client', 'login_required'])

export class Session {
  readonly #manager: UserManager
  #user: User
  #timer: ReturnType<typeof setTimeout> | undefined
  #renewal: Promise<void> | undefined
  /** Called once, when the server has ended the session and only a new sign-in helps. */
  onEnded: () => void = () => undefined

  private constructor(manager: UserManager, user: User) {
    this.#manager = manager
    this.#user = user
    this.#schedule()
  }

  /** Resumes the tab's session, finishes a sign-in that is on its way back, or sends the browser to sign in. */
  static async start(config: PageConfig): Promise<Session | null> {
    const manager = createManager(config)
    const answer = new URLSearchParams(window.location.search || window.location.hash.slice(1))
    if (answer.has('state') && (answer.has('code') || answer.has('error'))) {
      return Session.#finish(manager)
    }
    if (!(await ownsTab())) await manager.removeUser()
    const user = await manager.getUser()
    if (user && (!user.expired || user.refresh_token)) {
      const session = new Session(manager, user)
      if (!user.expired) return session
      try {
        await session.renew()
        return session
      } catch {
        session.stop()
      }
    }
    await manager.signinRedirect({ state: { path: window.location.pathname } })
    return null
  }

  static async #finish(manager: UserManager): Promise<Session | null> {
    try {
      const user = await manager.signinCallback()
      const { path } = fields(user?.state)
      window.history.replaceState(null, '', typeof path === 'string' && path.startsWith('/') && !path.startsWith('//') ? path : '/')
      if (user) return new Session(manager, user)
    } catch (error) {
      window.history.replaceState(null, '', '/')
      if (!(error instanceof Error) || !error.message.includes('No matching state')) throw error
      // A stale answer, for example from the back button: begin again.
      await manager.signinRedirect()
    }
    return null
  }

  get username(): string {
    const name = claims(this.#user.access_token).preferred_username ?? this.#user.profile.preferred_username
    return typeof name === 'string' && name !== '' ? name : this.#user.profile.sub
  }

  accessToken(): string {
    return this.#user.access_token
  }

  /** Renews unless the token is still good; several callers share one request. */
  async ensureFresh(): Promise<void> {
    if ((this.#user.expires_in ?? 0) > RENEW_BEFORE_SECONDS / 2) return
    await this.renew()
  }

  renew(): Promise<void> {
    this.#renewal ??= this.#renewOnce().finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  async #renewOnce(): Promise<void> {
    try {
      const user = await this.#manager.signinSilent()
      if (!user) throw new Error('the provider gave no token')
      this.#user = user
      this.#schedule()
    } catch (error) {
      if (error instanceof ErrorResponse && FINAL.has(error.error ?? '')) {
        await this.#manager.removeUser()
        this.stop()
        this.onEnded()
      } else {
        this.#schedule(RENEW_RETRY_MS)
      }
      throw error
    }
  }

  #schedule(delayMs = this.#renewInMs()): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.renew().catch(() => undefined), delayMs)
  }

  /** A minute before the end; where tokens are short-lived, after two thirds of their life. */
  #renewInMs(): number {
    const left = this.#user.expires_in ?? 0
    return Math.max(RENEW_RETRY_MS, (left - Math.min(RENEW_BEFORE_SECONDS, left / 3)) * 1000)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  async signOut(): Promise<void> {
    this.stop()
    await this.#manager.signoutRedirect()
  }
}

/**
 * Whether this tab's storage is its own. A duplicated tab starts with a copy of the first one's tokens, and using a
 * refresh token twice would end both sessions; such a tab signs in for itself.
 */
async function ownsTab(): Promise<boolean> {
  const known = sessionStorage.getItem(TAB_KEY)
  if (known !== null && (await holds(known))) return true
  const fresh = crypto.randomUUID()
  sessionStorage.setItem(TAB_KEY, fresh)
  await holds(fresh)
  return known === null
}

/** Takes the lock for the life of the page; false if another page keeps it. */
function holds(tab: string): Promise<boolean> {
  return new Promise((resolve) => {
    navigator.locks
      .request(`natterjack.tab.${tab}`, { signal: AbortSignal.timeout(TAB_LOCK_WAIT_MS) }, () => {
        resolve(true)
        return new Promise(() => undefined)
      })
      .catch(() => resolve(false))
  })
}

function createManager(config: PageConfig): UserManager {
  const store = new WebStorageStateStore({ store: window.sessionStorage })
  return new UserManager({
    authority: config.authority,
    client_id: config.clientId,
    redirect_uri: `${window.location.origin}/`,
    post_logout_redirect_uri: `${window.location.origin}/`,
    response_type: 'code',
    scope: 'openid',
    userStore: store,
    stateStore: store,
    automaticSilentRenew: false,
    monitorSession: false,
    loadUserInfo: false,
  })
}

function claims(token: string): Record<string, unknown> {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    return fields(JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (char) => char.charCodeAt(0)))))
  } catch {
    return {}
  }
}
