/** How components reach the client and its state. */
import { createContext, useContext, useSyncExternalStore } from 'react'
import type { ChatState } from '../store/state'
import type { ChatClient } from './chat'
import type { PageConfig } from './config'
import type { Session } from './session'

export interface Chat {
  client: ChatClient
  session: Session
  config: PageConfig
}

export const ChatContext = createContext<Chat | null>(null)

export function useChat(): Chat {
  const chat = useContext(ChatContext)
  if (!chat) throw new Error('useChat outside of a signed-in page')
  return chat
}

/** Reads a part of the state; `select` has to return something kept in the state, not something made anew. */
export function useChatState<T>(select: (state: ChatState) => T): T {
  const { store } = useChat().client
  return useSyncExternalStore(store.subscribe, () => select(store.state()))
}
