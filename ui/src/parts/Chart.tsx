// Sums over time, as a drawing that can be walked through with keys, and as a table for whoever prefers one.
import { useState } from 'react'
import { Area, AreaChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts'
import { useWords } from '../i18n'
import { clock, moment } from '../i18n/numbers'
import { Button } from './controls'
import { Table } from './display'

export interface Point {
  at: number
  value: number
  exact: string
}

export function Chart(props: { title: string; description: string; unit: string; points: Point[] }) {
  const { t, locale } = useWords()
  const [table, setTable] = useState(false)
  const long = (props.points.at(-1)?.at ?? 0) - (props.points[0]?.at ?? 0) > 36 * 3600_000
  const when = (at: number) => (long ? new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' }).format(at) : clock(at, locale))
  return (
    <figure>
      <figcaption className="mb-3 flex flex-wrap items-center justify-between gap-2">
        <span>
          <span className="font-medium">{props.title}</span>
          <span className="block text-sm text-soft">{props.description}</span>
        </span>
        <Button kind="quiet" aria-pressed={table} onClick={() => setTable(!table)}>
          {table ? t('chart.drawing') : t('chart.table')}
        </Button>
      </figcaption>
      {table ? (
        <Table
          caption={props.title}
          rows={props.points}
          id={(point) => String(point.at)}
          columns={[
            { name: t('when'), cell: (point) => moment(point.at, locale) },
            { name: props.unit, cell: (point) => point.exact, end: true },
          ]}
        />
      ) : (
        <div className="h-60" dir="ltr">
          <ResponsiveContainer width="100%" height="100%">
            <AreaChart data={props.points} accessibilityLayer title={props.title} desc={props.description} margin={{ top: 8, right: 8, bottom: 0, left: 8 }}>
              <CartesianGrid vertical={false} stroke="var(--line)" />
              <XAxis dataKey="at" type="number" scale="time" domain={['dataMin', 'dataMax']} tickFormatter={when} tick={{ fill: 'var(--soft)', fontSize: 12 }} stroke="var(--line)" />
              <YAxis width={76} tick={{ fill: 'var(--soft)', fontSize: 12 }} stroke="var(--line)" tickFormatter={(value: number) => new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 }).format(value)} />
              <Tooltip
                isAnimationActive={false}
                contentStyle={{ background: 'var(--sheet)', border: '1px solid var(--edge)', borderRadius: 8, color: 'var(--ink)' }}
                labelFormatter={(at) => moment(Number(at), locale)}
                formatter={(_value, _name, item) => [`${(item.payload as Point).exact} ${props.unit}`, props.title]}
              />
              <Area dataKey="value" type="stepAfter" stroke="var(--tide)" strokeWidth={2.500} fill="var(--tide-wash)" isAnimationActive={false} />
            </AreaChart>
          </ResponsiveContainer>
        </div>
      )}
    </figure>
  )
}
