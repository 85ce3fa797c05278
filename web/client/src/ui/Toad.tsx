/** The mark: a small toad with one yellow stripe. */
export function Toad({ size = 30 }: { size?: number }) {
  return <img src="/favicon.svg" width={size} height={size} alt="" />
}
