import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const css = readFileSync(new URL('./theme.css', import.meta.url), 'utf8')

/** The colours of one theme, by their names. */
function palette(selector: string): Record<string, string> {
  const start = css.indexOf(selector)
  const block = css.slice(start, css.indexOf('}', start))
  return Object.fromEntries([...block.matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)].map((match) => [match[1]!, match[2]!]))
}

/** WCAG 2.2: relative luminance and contrast. */
function luminance(colour: string): number {
  const channel = (at: number) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  }
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}
function contrast(one: string, other: string): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (light! + 0.05) / (dark! + 0.05)
}

const grounds = ['paper', 'sheet', 'well']
const texts = ['ink', 'soft', 'ember', 'tide', 'sun', 'rose']

test.each([[':root {'], [":root[data-theme='dark']"], [":root:not([data-theme='light'])"]])('%s can be read', (selector) => {
  const colours = palette(selector)
  const low: string[] = []
  const check = (text: string, ground: string, least: number) => {
    const ratio = contrast(colours[text]!, colours[ground]!)
    if (ratio < least) low.push(`${text} on ${ground}: ${ratio.toFixed(2)}`)
  }
  for (const ground of grounds) for (const text of texts) check(text, ground, 4.5)
  for (const wash of ['ember', 'tide', 'sun', 'rose']) {
    check(wash, `${wash}-wash`, 4.5)
    check('ink', `${wash}-wash`, 4.5)
  }
  check('ember-ink', 'ember', 4.5)
  for (const ground of grounds) check('edge', ground, 3)
  expect(low).toEqual([])
})

test('both ways to be dark are the same', () => {
  expect(palette(":root[data-theme='dark']")).toEqual(palette(":root:not([data-theme='light'])"))
})
