import { useEffect } from 'react'
import { useChat, useChatState } from '../client/context'
import { roomTitle, unreadTotals } from '../store/selectors'
import type { Room } from '../store/state'

/** The tab's title: how much is unread, the room, the workspace. */
export function useTitle(room: Room | undefined): void {
  const { config } = useChat()
  const unread = useChatState((state) => unreadTotals(state).unread)
  const place = room ? `${room.kind === 'dm' ? '' : '#'}${roomTitle(room)} · ${config.workspace}` : config.workspace

  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) ${place}` : place
  }, [unread, place])
}
