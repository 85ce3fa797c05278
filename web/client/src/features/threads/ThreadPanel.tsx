import { type ReactNode, useEffect } from 'react'
import { useChat, useChatState } from '../../client/context'
import { Panel } from '../../ui/Panel'

interface ThreadPanelProps {
  room: string
  title: string
  parentTimestamp: number
  onClose: () => void
  children: ReactNode
}

/** A message and what was answered to it; the page hands in the timeline and the composer. */
export function ThreadPanel({ room, title, parentTimestamp, onClose, children }: ThreadPanelProps) {
  const { client } = useChat()
  const online = useChatState((state) => state.connection === 'online')

  useEffect(() => {
    if (online) void client.history.openThread(room, parentTimestamp)
  }, [client, room, parentTimestamp, online])

  return (
    <Panel title="Thread" note={title} onClose={onClose}>
      {children}
    </Panel>
  )
}
