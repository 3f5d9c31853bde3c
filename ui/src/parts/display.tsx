import { type ReactNode, useState } from 'react'
import { useWords } from '../i18n'
import { money } from '../i18n/numbers'
import { problemOf } from '../platform'
import { Button } from './controls'
import type { Money as Sum } from '../platform'

/** A figure with its name; what kind of figure it is, is part of the name. */
export function Stat(props: { name: string; children: ReactNode; more?: ReactNode; tone?: 'tide' | 'soft' }) {
  const tone = props.tone === 'tide' ? 'text-tide' : props.tone === 'soft' ? 'text-soft' : ''
  return (
    <div className="min-w-0">
      <dt className="text-sm text-soft">{props.name}</dt>
      <dd className={`figures truncate font-display text-xl font-semibold ${tone}`}>{props.children}</dd>
      {props.more ? <dd className="text-sm text-soft">{props.more}</dd> : null}
    </div>
  )
}

export function Money(props: { sum: Sum; digits?: number }) {
  const { locale } = useWords()
  const { amount, asset } = props.sum
  return (
    <span className="figures whitespace-nowrap" title={`${amount} ${asset}`}>
      {money(amount, locale, props.digits)} <span className="text-[0.75em] font-medium text-soft">{asset}</span>
    </span>
  )
}

/** How much of something is used, as a bar with its words. */
export function Meter(props: { name: string; part: number | null; text: string; hot?: boolean }) {
  const part = Math.max(0, Math.min(props.part ?? 0, 1))
  return (
    <div>
      <div className="flex justify-between gap-3 text-sm">
        <span className="text-soft">{props.name}</span>
        <span className="figures font-medium">{props.text}</span>
      </div>
      <div role="meter" aria-label={props.name} aria-valuenow={Math.round(part * 100)} aria-valuemin={0} aria-valuemax={100} aria-valuetext={props.text} className="mt-1 h-2 overflow-hidden rounded-full bg-well">
        <div className={`h-full rounded-full transition-[width] duration-500 ${props.hot ? 'bg-rose' : 'bg-tide'}`} style={{ width: `${part * 100}%` }} />
      </div>
    </div>
  )
}

/** What went wrong: a sentence, what to do, the code, and one action. */
export function Trouble(props: { error: unknown; retry?: (() => void) | undefined }) {
  const { t } = useWords()
  const [copied, setCopied] = useState(false)
  const problem = problemOf(props.error)
  const copy = () => {
    const text = [problem.code, problem.message, problem.hint].filter(Boolean).join('\n')
    void navigator.clipboard.writeText(text).then(() => setCopied(true))
  }
  return (
    <div role="alert" className="rounded-md border border-rose bg-rose-wash p-4">
      <p className="font-medium">{problem.message}</p>
      {problem.hint ? <p className="mt-1 text-sm">{problem.hint}</p> : null}
      <div className="mt-3 flex flex-wrap items-center gap-3">
        {props.retry ? <Button onClick={props.retry}>{t('again')}</Button> : null}
        <button type="button" onClick={copy} className="text-sm text-ink underline">
          {copied ? t('copied') : t('copy.details')}
        </button>
        <code className="text-xs">{problem.code}</code>
      </div>
    </div>
  )
}

/** Nothing is there yet: what would be, and how it comes about. */
export function Empty(props: { title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <div className="rounded-lg border border-dashed border-edge px-6 py-10 text-center">
      <Orbit />
      <h3 className="mt-4 font-semibold">{props.title}</h3>
      <p className="mx-auto mt-1 max-w-prose text-sm text-soft">{props.children}</p>
      {props.action ? <div className="mt-4 flex justify-center">{props.action}</div> : null}
    </div>
  )
}

function Orbit() {
  return (
    <svg viewBox="0 0 120 60" aria-hidden="true" className="mx-auto h-14 text-line">
      <ellipse cx="60" cy="30" rx="46" ry="20" fill="none" stroke="currentColor" strokeWidth="2" strokeDasharray="3 6" strokeLinecap="round" />
      <circle cx="14" cy="30" r="5" fill="currentColor" />
      <circle cx="106" cy="30" r="5" fill="currentColor" />
      <circle cx="60" cy="10" r="5" className="fill-ember" />
    </svg>
  )
}

export function Waiting(props: { rows?: number }) {
  const { t } = useWords()
  return (
    <div aria-busy="true" className="space-y-3">
      <span className="sr-only">{t('loading')}</span>
      {Array.from({ length: props.rows ?? 3 }, (_, row) => (
        <div key={row} className="h-5 animate-pulse rounded-md bg-well" style={{ width: `${90 - row * 17}%` }} />
      ))}
    </div>
  )
}

/** What a query has: trouble, nothing yet, or its answer. */
export function Answered<T>(props: { of: { data: T | undefined; error: unknown; refetch: () => unknown }; rows?: number; children: (data: T) => ReactNode }) {
  const { data, error, refetch } = props.of
  if (error) return <Trouble error={error} retry={() => void refetch()} />
  if (data === undefined) return <Waiting rows={props.rows ?? 3} />
  return <>{props.children(data)}</>
}

export interface Column<T> {
  name: string
  cell: (row: T) => ReactNode
  end?: boolean
}

export function Table<T>(props: { caption: string; columns: Column<T>[]; rows: T[]; id: (row: T) => string }) {
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label={props.caption}>
      <table className="w-full text-sm">
        <caption className="sr-only">{props.caption}</caption>
        <thead>
          <tr className="border-b border-line text-soft">
            {props.columns.map((column) => (
              <th key={column.name} scope="col" className={`px-2 py-2 font-medium ${column.end ? 'text-end' : 'text-start'}`}>
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((row) => (
            <tr key={props.id(row)} className="border-b border-line last:border-0">
              {props.columns.map((column) => (
                <td key={column.name} className={`px-2 py-2 ${column.end ? 'figures text-end' : ''}`}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

export function Badge(props: { children: ReactNode; tone?: 'tide' | 'sun' | 'rose' | 'ember' | 'plain' }) {
  const tones = { tide: 'bg-tide-wash text-tide', sun: 'bg-sun-wash text-sun', rose: 'bg-rose-wash text-rose', ember: 'bg-ember-wash text-ember', plain: 'bg-well text-soft' }
  return <span className={`inline-block rounded-full px-2.5 py-0.5 text-xs font-semibold whitespace-nowrap ${tones[props.tone ?? 'plain']}`}>{props.children}</span>
}

/** A page: its title is told to whoever cannot see that it has changed. */
export function Page(props: { title: string; lead?: string; action?: ReactNode; children: ReactNode; wide?: boolean }) {
  return (
    <div className={`mx-auto w-full px-5 py-7 ${props.wide ? 'max-w-6xl' : 'max-w-4xl'}`}>
      <header className="mb-6 flex flex-wrap items-end justify-between gap-4">
        <div>
          <h1 tabIndex={-1} className="text-2xl font-semibold outline-none">
            {props.title}
          </h1>
          {props.lead ? <p className="mt-1 max-w-prose text-soft">{props.lead}</p> : null}
        </div>
        {props.action}
      </header>
      <div className="space-y-5">{props.children}</div>
    </div>
  )
}
