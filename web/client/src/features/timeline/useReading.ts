import { useEffect } from 'react'
import { useChat, useChatState } from '../../client/context'

/** Reports that the room's newest message is being looked at: it is on screen and the window has the focus. */
export function useReading(onScreen: boolean): void {
  const { client } = useChat()
  const room = useChatState((state) => state.view.room)
  const lastSeq = useChatState((state) => (state.view.room === null ? 0 : (state.rooms[state.view.room]?.lastSeq ?? 0)))

  useEffect(() => {
    const report = () => client.reading(onScreen && document.hasFocus() && document.visibilityState === 'visible')
    report()
    window.addEventListener('focus', report)
    window.addEventListener('blur', report)
    document.addEventListener('visibilitychange', report)
    return () => {
      window.removeEventListener('focus', report)
      window.removeEventListener('blur', report)
      document.removeEventListener('visibilitychange', report)
    }
  }, [client, onScreen, room, lastSeq])
}
