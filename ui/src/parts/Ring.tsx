// A live picture of a route: its machines in a ring, what each holds, and how long a hop takes.
import type { NetworkView, PoolView } from '../platform'
import { useWords } from '../i18n'
import { count } from '../i18n/numbers'

const WIDTH = 640
const HEIGHT = 270
const CENTRE = { x: WIDTH / 2, y: HEIGHT / 2 - 8 }
const RADIUS = { x: 225, y: 88 }

interface Stop {
  name: string
  layers: string
  mine: boolean
  there: boolean
  id: string | null
}

export function stops(pool: PoolView, network: NetworkView): Stop[] {
  return pool.places.map((place) => {
    const holders = [...place.ready, ...place.coming]
    const holder = network.nodes.find((node) => node.mine && holders.includes(node.id)) ?? network.nodes.find((node) => node.id === holders[0])
    return { name: holder?.name ?? '?', layers: `${place.from}–${place.to}`, mine: holder?.mine ?? false, there: place.ready.length > 0, id: holder?.id ?? null }
  })
}

/** Milliseconds from one machine to the next, by what either of them has measured. */
export function hop(network: NetworkView, from: string | null, to: string | null): number | null {
  const measured = (a: string | null, b: string | null) => network.nodes.find((node) => node.id === a)?.links.find((link) => link.to === b)?.rtt_us
  const rtt = measured(from, to) ?? measured(to, from)
  return rtt === undefined ? null : rtt / 2000
}

export function Ring(props: { network: NetworkView; pool: PoolView }) {
  const { t, locale } = useWords()
  const ring = stops(props.pool, props.network)
  const at = (index: number) => {
    const angle = (index / ring.length) * 2 * Math.PI - Math.PI / 2
    return { x: CENTRE.x + RADIUS.x * Math.cos(angle), y: CENTRE.y + RADIUS.y * Math.sin(angle) }
  }
  const hops = ring.map((stop, index) => hop(props.network, stop.id, ring[(index + 1) % ring.length]?.id ?? null))
  const busy = props.network.generations > 0
  const ellipse = `M${CENTRE.x} ${CENTRE.y - RADIUS.y}a${RADIUS.x} ${RADIUS.y} 0 1 1 -0.01 0z`
  const told = ring.map((stop, index) => t('ring.stop', { name: stop.name, layers: stop.layers, ms: hops[index] === null ? '?' : count(hops[index]!, locale, 1) })).join('; ')
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={t('ring.label', { stops: told })} className="w-full">
      <path d={ellipse} fill="none" className="stroke-line" strokeWidth="3" />
      {busy ? (
        <circle r="6" className="fill-ember motion-safe:animate-[travel_1.600s_linear_infinite] motion-reduce:hidden" style={{ offsetPath: `path('${ellipse}')` }} />
      ) : null}
      {ring.map((stop, index) => {
        const { x, y } = at(index)
        const between = at(index + 0.5)
        const ms = hops[index]
        return (
          <g key={stop.layers}>
            {ring.length > 1 && ms !== null && ms !== undefined ? (
              <g>
                <rect x={between.x - 34} y={between.y - 12} width="68" height="22" rx="11" className="fill-sheet" />
                <text x={between.x} y={between.y + 4} textAnchor="middle" className="figures fill-soft text-[13px]">
                  {count(ms, locale, ms < 1 ? 2 : 1)} ms
                </text>
              </g>
            ) : null}
            <circle cx={x} cy={y} r="25" className={stop.there ? 'fill-sheet stroke-tide' : 'fill-sheet stroke-edge'} strokeWidth="3" strokeDasharray={stop.there ? undefined : '4 5'} />
            {stop.mine ? <circle cx={x} cy={y} r="17" className="fill-ember" /> : null}
            <text x={x} y={y + 4.500} textAnchor="middle" className={`figures text-[12px] font-semibold ${stop.mine ? 'fill-ember-ink' : 'fill-ink'}`}>
              {stop.layers}
            </text>
            <text x={x} y={y + 44} textAnchor="middle" className="fill-ink text-[13px] font-medium">
              {stop.mine ? t('ring.mine') : stop.name}
            </text>
          </g>
        )
      })}
    </svg>
  )
}
