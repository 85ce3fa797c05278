/** The small choice offered for reactions and in the composer. */
export const EMOJI = [
  { emoji: '👍', name: 'Thumbs up' },
  { emoji: '❤️', name: 'Red heart' },
  { emoji: '😂', name: 'Tears of joy' },
  { emoji: '🎉', name: 'Party popper' },
  { emoji: '🐸', name: 'Frog' },
  { emoji: '👀', name: 'Eyes' },
  { emoji: '✅', name: 'Done' },
  { emoji: '🙏', name: 'Thank you' },
  { emoji: '🔥', name: 'Fire' },
  { emoji: '😮', name: 'Open mouth' },
  { emoji: '😢', name: 'Crying' },
  { emoji: '👎', name: 'Thumbs down' },
] as const
