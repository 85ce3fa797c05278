import { Button } from '../ui/Button'
import styles from './Shell.module.css'

/** The address names a room that does not exist, or one this person can not see: the same answer for both. */
export function Missing({ onRooms }: { onRooms: () => void }) {
  return (
    <main className={styles.main}>
      <div className={styles.missing}>
        <h1>There is no such room for you</h1>
        <p>It may have been closed, or you have not been invited.</p>
        <Button onClick={onRooms}>Show my rooms</Button>
      </div>
    </main>
  )
}
