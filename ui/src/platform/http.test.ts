import { expect, test } from 'vitest'
import { readEvents, takeToken } from './http'

function storage(kept: Record<string, string> = {}): Storage {
  return { getItem: (key: string) => kept[key] ?? null, setItem: (key: string, value: string) => void (kept[key] = value) } as unknown as Storage
}
const at = (hash: string) => ({ hash, pathname: '/', search: '' }) as Location

test('the token is taken out of the address bar and kept for the tab', () => {
  const kept = storage()
  let shown = '/#token=abc'
  expect(takeToken(at('#token=abc'), kept, (address) => (shown = address))).toBe('abc')
  expect(shown).toBe('/')
  // The page is loaded again: the address says nothing any more.
  expect(takeToken(at(''), kept, () => {})).toBe('abc')
  expect(takeToken(at('#/earn'), storage(), () => {})).toBe('')
})

test('events are read however they are cut', async () => {
  const text = ':\n\ndata: {"kind":"settings"}\n\ndata: {"kind":"answer","answer":"a","piece":{"kind":"text","text":"b\\n\\nc"}}\n\n'
  for (const size of [1, 3, 7, text.length]) {
    const chunks = (async function* () {
      for (let from = 0; from < text.length; from += size) yield text.slice(from, from + size)
    })()
    const events = []
    for await (const event of readEvents(chunks)) events.push(event)
    expect(events.map((event) => event.kind)).toEqual(['settings', 'answer'])
    expect(events[1]).toMatchObject({ piece: { text: 'b\n\nc' } })
  }
})
