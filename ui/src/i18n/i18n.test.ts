import { expect, test } from 'vitest'
import { de } from './de'
import { en } from './en'
import { type Key, languageOf, speaker } from './index'
import { bytes, money } from './numbers'

const holes = (text: string) => [...text.matchAll(/\{(\w+)(?=[,}])/g)].map((match) => match[1]).sort()

test('every sentence has the same places to fill in every language', () => {
  const different = (Object.keys(en) as Key[]).filter((key) => `${holes(en[key])}` !== `${holes(de[key])}`)
  expect(different).toEqual([])
  expect(Object.keys(de).sort()).toEqual(Object.keys(en).sort())
})

test('every sentence can be said', () => {
  for (const language of ['en', 'de'] as const) {
    const t = speaker(language)
    for (const key of Object.keys(en) as Key[]) {
      const said = t(key, Object.fromEntries(holes(en[key]).map((hole) => [hole!, 2])))
      expect(said, key).not.toContain('{')
    }
  }
})

test('plurals follow the language', () => {
  const t = speaker('en')
  expect(t('pools.spares', { count: 1 })).toBe('1 machine can be lost without a gap')
  expect(t('pools.spares', { count: 2 })).toBe('2 machines can be lost without a gap')
})

test('the system is asked where nothing was chosen', () => {
  expect(languageOf(null, ['fr-FR', 'de-AT'])).toBe('de')
  expect(languageOf('en', ['de'])).toBe('en')
  expect(languageOf('xx', ['fr'])).toBe('en')
})

test('money is cut off and never rounded up, and what is there never looks like nothing', () => {
  expect(money('0.1299999999', 'en')).toBe('0.129999')
  expect(money('1234567.5', 'de')).toBe('1.234.567,50')
  expect(money('0', 'en')).toBe('0')
  expect(money('0.0000000001', 'en')).toBe('< 0.000001')
  expect(money('115792089237316195423570985008687907853', 'en')).toContain('115,792,089')
})

test('bytes are told in steps of a thousand', () => {
  expect(bytes(999, 'en')).toBe('999 byte')
  expect(bytes(1_500_000, 'en')).toBe('1.5 MB')
  expect(bytes(24e9, 'en')).toBe('24 GB')
})
