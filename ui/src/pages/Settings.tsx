import { useEffect, useState } from 'react'
import { languages, useWords } from '../i18n'
import { Button, Card, Choice, Field, Switch } from '../parts/controls'
import { Answered, Page, Trouble } from '../parts/display'
import type { Settings } from '../platform'
import { useAsk, useDo } from '../state/host'
import { Schedule } from './Schedule'

export function SettingsPage() {
  const { t } = useWords()
  const settings = useAsk('settings_get', {})
  return (
    <Page title={t('nav.settings')} lead={t('settings.lead')}>
      <Answered of={settings} rows={8}>
        {(settings) => <Form settings={settings} />}
      </Answered>
    </Page>
  )
}

const number = (text: string): number | null => (text.trim() === '' ? null : Number(text))
const text = (value: number | null): string => (value === null ? '' : String(value))

function Form(props: { settings: Settings }) {
  const { t } = useWords()
  const [draft, setDraft] = useState(props.settings)
  const save = useDo('settings_set', ['settings_get', 'status'])
  useEffect(() => setDraft(props.settings), [props.settings])
  const changed = JSON.stringify(draft) !== JSON.stringify(props.settings)
  const { rules, sharing, look, using } = draft
  const rule = (change: Partial<Settings['rules']>) => setDraft({ ...draft, rules: { ...rules, ...change } })
  const share = (change: Partial<Settings['sharing']>) => setDraft({ ...draft, sharing: { ...sharing, ...change } })
  // How it looks holds at once: nobody wants to save that.
  const seem = (change: Partial<Settings['look']>) => save.mutate({ settings: { ...props.settings, look: { ...look, ...change } } })
  const limited = (name: Parameters<typeof t>[0], unit: string, value: number | null, set: (value: number | null) => void, hint?: string) => (
    <Field label={t(name)} unit={unit} inputMode="numeric" value={text(value)} placeholder={t('no.limit')} onChange={(event) => set(number(event.target.value))} {...(hint ? { hint } : {})} />
  )
  return (
    <form
      className="space-y-5"
      onSubmit={(event) => {
        event.preventDefault()
        save.mutate({ settings: draft })
      }}
    >
      <Card title={t('settings.look')}>
        <div className="grid gap-4 sm:grid-cols-2">
          <Choice label={t('settings.theme')} value={look.theme} onChange={(theme) => seem({ theme })} options={[['system', t('theme.system')], ['light', t('theme.light')], ['dark', t('theme.dark')]]} />
          <Choice label={t('settings.language')} value={look.language ?? ''} onChange={(language) => seem({ language: language || null })} options={[['', t('theme.system')], ...Object.entries(languages)]} />
        </div>
        <Switch label={t('settings.hide')} hint={t('settings.hide_more')} on={look.hide_earnings} onChange={(hide_earnings) => seem({ hide_earnings })} />
        <Switch label={t('settings.advanced')} hint={t('settings.advanced_more')} on={look.advanced} onChange={(advanced) => seem({ advanced })} />
      </Card>
      <Card title={t('settings.when')}>
        <Switch
          label={t('settings.idle')}
          hint={t('settings.idle_more')}
          on={rules.when.kind === 'idle'}
          onChange={(on) => rule({ when: on ? { kind: 'idle', minutes: 5 } : { kind: 'always' } })}
        />
        {rules.when.kind === 'idle' ? (
          <Field className="max-w-56" label={t('settings.minutes')} unit={t('unit.minutes')} inputMode="numeric" value={String(rules.when.minutes)} onChange={(event) => rule({ when: { kind: 'idle', minutes: Number(event.target.value) } })} />
        ) : null}
        <Switch label={t('settings.fullscreen')} on={rules.fullscreen} onChange={(fullscreen) => rule({ fullscreen })} />
        <Switch label={t('settings.battery')} on={rules.on_battery} onChange={(on_battery) => rule({ on_battery })} />
        <Switch label={t('settings.metered')} on={rules.on_metered} onChange={(on_metered) => rule({ on_metered })} />
        <Field
          label={t('settings.apps')}
          hint={t('settings.apps_more')}
          value={rules.exclusive_apps.join(', ')}
          onChange={(event) => rule({ exclusive_apps: event.target.value.split(',').map((app) => app.trimStart()) })}
          onBlur={() => rule({ exclusive_apps: rules.exclusive_apps.map((app) => app.trim()).filter(Boolean) })}
        />
      </Card>
      <Schedule rules={rules} onChange={rule} />
      <Card title={t('settings.limits')}>
        <div className="grid gap-4 sm:grid-cols-2">
          {limited('settings.heat', '°C', rules.max_temperature_c, (max_temperature_c) => rule({ max_temperature_c }))}
          <Field label={t('rules.electricity')} unit="USD" inputMode="decimal" value={draft.electricity.usd_per_kwh ?? ''} onChange={(event) => setDraft({ ...draft, electricity: { usd_per_kwh: event.target.value.trim() || null } })} />
          {limited('settings.data', 'GB', rules.data_cap_gb, (data_cap_gb) => rule({ data_cap_gb }))}
          {look.advanced ? (
            <>
              {limited('settings.fan', '%', rules.max_fan_percent, (max_fan_percent) => rule({ max_fan_percent }))}
              {limited('settings.watts', 'W', rules.max_watts, (max_watts) => rule({ max_watts }))}
              {limited('settings.others', '%', rules.others_gpu_percent, (others_gpu_percent) => rule({ others_gpu_percent }))}
              {limited('settings.upload', 'KiB/s', rules.upload_kib_s, (upload_kib_s) => rule({ upload_kib_s }))}
              <Field label={t('settings.reserve')} unit="MiB" inputMode="numeric" value={String(rules.memory_reserve_mb)} onChange={(event) => rule({ memory_reserve_mb: Number(event.target.value) })} />
              {limited('settings.threads', '', sharing.threads, (threads) => share({ threads }))}
            </>
          ) : null}
        </div>
      </Card>
      <Card title={t('settings.network')}>
        <div className="grid gap-4">
          <Field label={t('settings.name')} value={sharing.name} onChange={(event) => share({ name: event.target.value })} />
          <Field label={t('settings.invite')} hint={t('settings.invite_more')} value={sharing.invite ?? ''} onChange={(event) => share({ invite: event.target.value.trim() || null })} />
          {look.advanced ? <Field label={t('programs.port')} inputMode="numeric" placeholder="11480" value={text(using.port)} onChange={(event) => setDraft({ ...draft, using: { ...using, port: number(event.target.value) } })} /> : null}
          <Field label={t('settings.endpoint')} hint={t('settings.endpoint_more')} value={using.endpoint ?? ''} onChange={(event) => setDraft({ ...draft, using: { ...using, endpoint: event.target.value.trim() || null } })} />
        </div>
      </Card>
      <Program />
      {save.error ? <Trouble error={save.error} /> : null}
      <div className="sticky bottom-0 flex items-center gap-3 border-t border-line bg-paper py-3">
        <Button type="submit" kind="main" disabled={!changed} busy={save.isPending}>
          {t('save')}
        </Button>
        <Button kind="quiet" disabled={!changed} onClick={() => setDraft(props.settings)}>
          {t('discard')}
        </Button>
        <span role="status" className="text-sm text-soft">
          {save.isSuccess && !changed ? t('saved') : ''}
        </span>
      </div>
    </form>
  )
}

/** What the host itself can do: starting with the login, and ending. */
function Program() {
  const { t } = useWords()
  const host = useAsk('host', {})
  const autostart = useDo('autostart_set', ['host'])
  const quit = useDo('quit')
  if (!host.data) return null
  return (
    <Card title={t('shell.program')}>
      {host.data.autostart === null ? null : <Switch label={t('shell.autostart')} hint={t('shell.autostart_more')} on={host.data.autostart} onChange={(on) => autostart.mutate({ on })} />}
      <Button className="mt-2" busy={quit.isPending} onClick={() => quit.mutate({})}>
        {t('shell.quit')}
      </Button>
      {(autostart.error ?? quit.error) ? <Trouble error={autostart.error ?? quit.error} /> : null}
    </Card>
  )
}
