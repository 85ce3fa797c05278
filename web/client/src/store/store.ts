/** The one store, and the one way into it. */
import { createStore } from 'zustand/vanilla'
import { apply } from './apply'
import type { ChatEvent } from './events'
import { type ChatState, initialState } from './state'

export interface ChatStore {
  state: () => ChatState
  dispatch: (event: ChatEvent) => void
  subscribe: (listener: () => void) => () => void
}

export function createChatStore(username: string): ChatStore {
  const store = createStore<ChatState>(() => initialState(username))
  return {
    state: store.getState,
    dispatch: (event) => store.setState((state) => apply(state, event), true),
    subscribe: (listener) => store.subscribe(listener),
  }
}
