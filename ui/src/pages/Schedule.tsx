// When a machine may serve, by the week, and when it is quieter.
import { useWords } from '../i18n'
import { Button, Card, Field, IconButton, Switch } from '../parts/controls'
import type { Rules } from '../platform'

type Span = Rules['schedule'][number]
type Change = (change: Partial<Rules>) => void

const clockOf = (minutes: number) => `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
export const minutesOf = (clock: string) => {
  const [hours = 0, minutes = 0] = clock.split(':').map(Number)
  return hours * 60 + minutes
}
/** A Monday, and the days after it. */
const day = (index: number, locale: string) => new Intl.DateTimeFormat(locale, { weekday: 'short', timeZone: 'UTC' }).format(Date.UTC(2024, 0, 1 + index))

export function Schedule(props: { rules: Rules; onChange: Change }) {
  const { t } = useWords()
  const { rules, onChange } = props
  const set = (index: number, span: Span | null) => onChange({ schedule: rules.schedule.flatMap((old, at) => (at !== index ? [old] : span ? [span] : [])) })
  return (
    <Card title={t('rules.schedule')}>
      {rules.schedule.length === 0 ? <p className="text-sm text-soft">{t('rules.always')}</p> : null}
      <ul className="space-y-4">
        {rules.schedule.map((span, index) => (
          <One key={index} span={span} onChange={(span) => set(index, span)} />
        ))}
      </ul>
      <Button icon="plus" className="mt-3" onClick={() => onChange({ schedule: [...rules.schedule, { days: [true, true, true, true, true, true, true], from: 22 * 60, to: 8 * 60 }] })}>
        {t('rules.add')}
      </Button>
      <Night rules={rules} onChange={onChange} />
    </Card>
  )
}

function One(props: { span: Span; onChange: (span: Span | null) => void }) {
  const { t, locale } = useWords()
  const { span, onChange } = props
  const flip = (index: number) => onChange({ ...span, days: span.days.map((on, at) => (at === index ? !on : on)) as Span['days'] })
  return (
    <li className="flex flex-wrap items-end gap-3">
      <fieldset>
        <legend className="text-sm font-medium">{t('rules.days')}</legend>
        <div className="mt-1 flex gap-1">
          {span.days.map((on, index) => (
            <button key={index} type="button" aria-pressed={on} onClick={() => flip(index)} className="min-h-10 min-w-10 rounded-md border border-edge bg-sheet px-2 text-sm aria-pressed:border-ember aria-pressed:bg-ember-wash aria-pressed:font-semibold">
              {day(index, locale)}
            </button>
          ))}
        </div>
      </fieldset>
      <Field label={t('rules.from')} type="time" value={clockOf(span.from)} onChange={(event) => onChange({ ...span, from: minutesOf(event.target.value) })} />
      <Field label={t('rules.to')} type="time" value={clockOf(span.to)} onChange={(event) => onChange({ ...span, to: minutesOf(event.target.value) })} />
      <IconButton icon="close" label={t('rules.remove')} onClick={() => onChange(null)} />
    </li>
  )
}

function Night(props: { rules: Rules; onChange: Change }) {
  const { t } = useWords()
  const { night } = props.rules
  const set = (change: Partial<NonNullable<Rules['night']>>) => night && props.onChange({ night: { ...night, ...change } })
  const number = (text: string) => (text.trim() === '' ? null : Number(text))
  return (
    <div className="mt-5 border-t border-line pt-3">
      <Switch label={t('rules.night')} hint={t('rules.night_more')} on={night !== null} onChange={(on) => props.onChange({ night: on ? { from: 22 * 60, to: 7 * 60, max_fan_percent: 40, max_watts: null } : null })} />
      {night ? (
        <div className="grid gap-4 sm:grid-cols-4">
          <Field label={t('rules.from')} type="time" value={clockOf(night.from)} onChange={(event) => set({ from: minutesOf(event.target.value) })} />
          <Field label={t('rules.to')} type="time" value={clockOf(night.to)} onChange={(event) => set({ to: minutesOf(event.target.value) })} />
          <Field label={t('settings.fan')} unit="%" inputMode="numeric" placeholder={t('no.limit')} value={night.max_fan_percent ?? ''} onChange={(event) => set({ max_fan_percent: number(event.target.value) })} />
          <Field label={t('settings.watts')} unit="W" inputMode="numeric" placeholder={t('no.limit')} value={night.max_watts ?? ''} onChange={(event) => set({ max_watts: number(event.target.value) })} />
        </div>
      ) : null}
    </div>
  )
}
