import styles from './Skeleton.module.css'

/** Messages that are on their way, in the shape they will have. */
export function Skeleton({ rows, label }: { rows: number; label: string }) {
  return (
    <div className={styles.skeleton} role="status">
      <span className="only-spoken">{label}</span>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className={styles.row} aria-hidden="true">
          <span className={styles.face} />
          <span className={styles.lines}>
            <span className={styles.name} />
            <span className={styles.text} />
          </span>
        </div>
      ))}
    </div>
  )
}
