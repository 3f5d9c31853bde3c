import { renderToStaticMarkup } from 'react-dom/server'
import { beforeAll, expect, test } from 'vitest'
import { because } from '../app/reasons'
import { speak, speaker, Words } from '../i18n'
import { earnedOver } from '../pages/Earn'
import { type EarningsView, type NetworkView, type Platform, PlatformProvider, type Reason } from '../platform'
import { blocks, Markdown } from './Markdown'
import { hop, stops } from './Ring'

const host = { call: () => Promise.reject(new Error('nobody')), listen: () => () => {}, open: () => {} } as unknown as Platform

beforeAll(() => {
  Object.assign(globalThis, { document: { documentElement: {} } })
  speak('en')
})

const html = (text: string) =>
  renderToStaticMarkup(
    <PlatformProvider platform={host}>
      <Words>
        <Markdown text={text} />
      </Words>
    </PlatformProvider>,
  )

test('an answer can hold no live HTML, no script and no picture from elsewhere', () => {
  const hostile = html('<script>alert(1)</script> <img src=x onerror=alert(1)> <b onclick=x>hi</b>')
  expect(hostile).not.toMatch(/<(script|img|b)\b|href="javascript:/)
  // It is shown for what it is.
  expect(hostile).toContain('&lt;script&gt;')
  expect(html('![eye](https://spy/pixel.png)')).toMatch(/<span>eye<\/span>/)
  expect(html('[go](javascript:alert(1))')).not.toContain('javascript')
})

test('code, tables and formulas are drawn', () => {
  expect(html('```\nlet x = 1\n```')).toContain('let x = 1')
  expect(html('|a|b|\n|-|-|\n|1|2|')).toContain('<table>')
  expect(html('$$\nx^2\n$$')).toContain('katex')
})

test('blocks end at empty lines, but not inside of code or formulas', () => {
  expect(blocks('a\n\nb')).toEqual(['a', 'b'])
  expect(blocks('```js\na\n\nb\n```\n\nc')).toEqual(['```js\na\n\nb\n```', 'c'])
  expect(blocks('$$\na\n\nb\n$$')).toHaveLength(1)
  expect(blocks('~~~\n```\n\nx')).toHaveLength(1)
})

test('every reason can be said', () => {
  const t = speaker('en')
  const reasons: Reason[] = [
    { code: 'in_use', idle_s: 10, needed_s: 300 },
    { code: 'gpu_in_use', gpu: 'RTX', app: null, percent: 40 },
    { code: 'data_cap', carried_bytes: 1, cap_bytes: 2e9 },
    { code: 'paused', until_ms: null },
    { code: 'metered' },
  ]
  expect(reasons.map((reason) => because(reason, t, 'en'))).toEqual([
    'you are using this computer; on in 5 min',
    'other programs: 40 % of RTX in use',
    'this month’s 2 GB are used up',
    'you paused it until you resume',
    'this connection is metered',
  ])
})

test('the ring shows this machine where it takes part, and who has measured the way', () => {
  const node = (id: string, mine: boolean, rtt?: number) => ({ id, name: id, mine, phase: 'ready', reason: '', weight_bytes: 1, generations: 0, operator: null, links: rtt === undefined ? [] : [{ to: 'b', rtt_us: rtt, kind: 'lan' }] })
  const pool = { model: 'm', places: [{ from: 0, to: 10, ready: ['a'], coming: [] }, { from: 10, to: 20, ready: ['c', 'b'], coming: [] }], spares: 0, token_us: null, predicted_token_us: null, advice: null }
  const network: NetworkView = { pools: [pool], nodes: [node('a', false, 3000), node('b', true), node('c', false)], generations: 0, failovers: 0, handovers: 0 }
  expect(stops(pool, network).map((stop) => [stop.name, stop.mine])).toEqual([['a', false], ['b', true]])
  expect(hop(network, 'a', 'b')).toBe(1.5)
  expect(hop(network, 'b', 'a')).toBe(1.5)
  expect(hop(network, 'a', 'c')).toBeNull()
})

test('earnings add up to the last unit over time', () => {
  const sum = (amount: string) => ({ amount, asset: 'USDCx' })
  const session = (closed_ms: number | null, amount: string) => ({ session: '', coalition: '', opened_ms: 0, closed_ms, amount: sum(amount) })
  const none = sum('0')
  const earnings: EarningsView = { account: '', settled: none, pending: none, per_hour: none, per_second: none, payouts: [], seats: [],
    sessions: [session(1000, '0.000000000000000001'), session(5000, '0.3'), session(9000, '0.1')] }
  const points = earnedOver(earnings, 4000, 10_000)
  expect(points.map((point) => point.exact)).toEqual(['0.000000000000000001', '0.300000000000000001', '0.400000000000000001'])
  expect(earnedOver({ ...earnings, sessions: [] }, 0, 1)).toEqual([])
})
