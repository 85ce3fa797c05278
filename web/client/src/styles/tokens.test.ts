/** Every pair of colours that meets on screen is legible, in both themes. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const css = readFileSync('src/styles/tokens.css', 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
const blocks = [...css.matchAll(/([^{}]+)\{([^{}]*)\}/g)].map(([, selector = '', body = '']) => ({ selector: selector.trim(), body }))
const declarations = (body: string): Map<string, string> =>
  new Map([...body.matchAll(/(--[\w-]+):\s*([^;]+);/g)].map(([, name = '', value = '']) => [name, value.trim()]))
const block = (part: string): Map<string, string> => declarations(blocks.find(({ selector }) => selector.includes(part))?.body ?? '')

const colours = declarations(blocks[0]?.body ?? '')
const light = new Map([...colours, ...block("[data-theme='light']")])
const dark = new Map([...colours, ...block("[data-theme='dark']")])
const system = new Map([...colours, ...block(':not([data-theme])')])

const TEXT = 4.5
const MARK = 3
const PAIRS: [foreground: string, background: string, least: number][] = [
  ...['--bg', '--bg-side', '--bg-raised', '--bg-hover', '--bg-side-hover', '--bg-selected', '--bg-sunken', '--mark-soft'].flatMap(
    (background): [string, string, number][] => [['--text', background, TEXT], ['--text-2', background, TEXT]],
  ),
  ...['--bg', '--bg-side', '--bg-raised', '--bg-hover', '--bg-side-hover', '--bg-sunken', '--mark-soft'].map(
    (background): [string, string, number] => ['--text-3', background, TEXT],
  ),
  ...['--bg', '--bg-hover', '--bg-side', '--bg-side-hover', '--mark-soft', '--accent-soft'].map((background): [string, string, number] => ['--link', background, TEXT]),
  ...['--bg', '--bg-hover', '--bg-raised', '--bg-sunken'].map((background): [string, string, number] => ['--danger', background, TEXT]),
  ['--accent', '--accent-soft', TEXT],
  ['--text', '--accent-soft', TEXT],
  ['--text-2', '--accent-soft', TEXT],
  ['--on-accent', '--accent', TEXT],
  ['--on-mark', '--mark', TEXT],
  ['--accent', '--bg', MARK],
  ['--line-strong', '--bg', MARK],
  ['--line-strong', '--bg-raised', MARK],
  ...['--online', '--away', '--busy'].flatMap((mark): [string, string, number][] => [[mark, '--bg-side', MARK], [mark, '--bg', MARK], [mark, '--bg-selected', MARK]]),
  ...Array.from({ length: 8 }, (_, face): [string, string, number] => ['--on-face', `--face-${face}`, TEXT]),
]

describe.each([['light', light], ['dark', dark], ['system dark', system]])('%s theme', (_, theme) => {
  it.each(PAIRS)('%s on %s reaches %d to 1', (foreground, background, least) => {
    expect(contrast(resolve(theme, foreground), resolve(theme, background))).toBeGreaterThanOrEqual(least)
  })
})

it('gives the system’s dark theme the same meanings as the chosen one', () => {
  expect([...block(':not([data-theme])')]).toEqual([...block("[data-theme='dark']")])
})

function resolve(theme: Map<string, string>, name: string): string {
  const value = theme.get(name) ?? ''
  const other = /^var\((--[\w-]+)\)$/.exec(value)?.[1]
  return other ? resolve(theme, other) : value
}

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return ((high ?? 0) + 0.05) / ((low ?? 0) + 0.05)
}

/** Relative luminance of an `oklch()` colour, clipped to sRGB (CSS Color 4, WCAG 2). */
function luminance(colour: string): number {
  const [, l, c, h] = /^oklch\(([\d.]+) ([\d.]+) ([\d.]+)\)$/.exec(colour)?.map(Number) ?? []
  if (l === undefined || c === undefined || h === undefined) throw new Error(`not a plain oklch colour: ${colour}`)
  const a = c * Math.cos((h * Math.PI) / 180)
  const b = c * Math.sin((h * Math.PI) / 180)
  const long = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3
  const medium = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3
  const short = (l - 0.0894841775 * a - 1.291485548 * b) ** 3
  const clip = (value: number) => Math.min(1, Math.max(0, value))
  const red = clip(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short)
  const green = clip(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short)
  const blue = clip(-0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short)
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
