import type { ReactNode } from 'react'
import { Toad } from '../../ui/Toad'
import styles from './StartPage.module.css'

/** Everything that is shown instead of the chat: one card on paper, as on the sign-in page. */
export function StartPage({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <Toad size={56} />
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  )
}
