/** Start-up as a table: what to show until, and once, somebody is signed in. */
import { useEffect, useState } from 'react'
import { type Chat, ChatContext } from './client/context'
import { InsecurePage, SetupNeeded, SignedOut, SignInFailed, StartFailed, Starting } from './features/start/pages'
import { Shell } from './pages/Shell'
import { begin } from './start'

export type Stage =
  | { stage: 'starting' }
  | { stage: 'insecure' }
  | { stage: 'setup' }
  | { stage: 'unreachable'; problem: string }
  | { stage: 'refused'; problem: string }
  | { stage: 'ended' }
  | { stage: 'ready'; chat: Chat }

export function App() {
  const [current, setCurrent] = useState<Stage>({ stage: 'starting' })
  useEffect(() => void begin(setCurrent), [])

  switch (current.stage) {
    case 'starting':
      return <Starting />
    case 'insecure':
      return <InsecurePage />
    case 'setup':
      return <SetupNeeded />
    case 'unreachable':
      return <StartFailed problem={current.problem} />
    case 'refused':
      return <SignInFailed problem={current.problem} />
    case 'ended':
      return <SignedOut />
    case 'ready':
      return (
        <ChatContext value={current.chat}>
          <Shell />
        </ChatContext>
      )
  }
}
