import { useState } from 'react'
import { useWords } from '../i18n'
import { count, moment } from '../i18n/numbers'
import { Button, Card, Field } from '../parts/controls'
import { Answered, Badge, Empty, Table, Trouble } from '../parts/display'
import { useAsk, useDo } from '../state/host'

const limit = (text: string) => (text.trim() === '' ? null : Number(text))

/** The owner's own endpoint: where it is, and who may ask. */
export function Programs() {
  const { t, locale } = useWords()
  const programs = useAsk('programs', {})
  const revoke = useDo('key_revoke', ['programs', 'status'])
  return (
    <Card title={t('programs.title')}>
      <p className="text-sm text-soft">{t('programs.more')}</p>
      <Answered of={programs}>
        {(programs) => (
          <>
            {programs.address ? <code className="figures mt-3 block overflow-x-auto rounded-md bg-well p-3">{programs.address}</code> : <p className="mt-3 text-sm">{t('programs.closed')}</p>}
            {programs.problem ? (
              <p role="alert" className="mt-3 rounded-md border border-rose bg-rose-wash p-3 text-sm">
                {programs.problem.message}. {programs.problem.hint}
              </p>
            ) : null}
            <h3 className="mt-5 mb-1 font-semibold">{t('programs.keys')}</h3>
            {programs.keys.length === 0 ? (
              <Empty title={t('programs.no_keys')}>{t('programs.no_keys_more')}</Empty>
            ) : (
              <Table
                caption={t('programs.keys')}
                rows={programs.keys}
                id={(key) => key.name}
                columns={[
                  { name: t('name'), cell: (key) => key.name },
                  { name: t('programs.per_minute'), cell: (key) => key.per_minute ?? t('no.limit'), end: true },
                  { name: t('programs.tokens'), cell: (key) => (key.tokens_a_day === null ? t('no.limit') : count(key.tokens_a_day, locale)), end: true },
                  { name: t('programs.used'), cell: (key) => count(key.used, locale), end: true },
                  { name: t('programs.revoke'), cell: (key) => <Button kind="danger" onClick={() => revoke.mutate({ name: key.name })}>{t('programs.revoke')}</Button>, end: true },
                ]}
              />
            )}
            <NewKey />
            {revoke.error ? <Trouble error={revoke.error} /> : null}
          </>
        )}
      </Answered>
    </Card>
  )
}

function NewKey() {
  const { t } = useWords()
  const [name, setName] = useState('')
  const [perMinute, setPerMinute] = useState('')
  const [tokens, setTokens] = useState('')
  const [copied, setCopied] = useState(false)
  const make = useDo('key_make', ['programs', 'status'])
  return (
    <form
      className="mt-4 grid items-end gap-3 sm:grid-cols-[2fr_1fr_1fr_auto]"
      onSubmit={(event) => {
        event.preventDefault()
        setCopied(false)
        make.mutate({ name, per_minute: limit(perMinute), tokens_a_day: limit(tokens) }, { onSuccess: () => setName('') })
      }}
    >
      <Field label={t('programs.new')} required value={name} onChange={(event) => setName(event.target.value)} />
      <Field label={t('programs.per_minute')} inputMode="numeric" placeholder={t('no.limit')} value={perMinute} onChange={(event) => setPerMinute(event.target.value)} />
      <Field label={t('programs.tokens')} inputMode="numeric" placeholder={t('no.limit')} value={tokens} onChange={(event) => setTokens(event.target.value)} />
      <Button type="submit" icon="plus" busy={make.isPending}>
        {t('programs.make')}
      </Button>
      {make.data ? (
        <div role="status" className="rounded-md bg-tide-wash p-3 sm:col-span-4">
          <p className="text-sm font-medium">{t('programs.made')}</p>
          <div className="mt-2 flex items-center gap-2">
            <code className="grow overflow-x-auto text-sm">{make.data.key}</code>
            <Button icon={copied ? 'check' : 'copy'} onClick={() => void navigator.clipboard.writeText(make.data!.key).then(() => setCopied(true))}>
              {copied ? t('copied') : t('copy')}
            </Button>
          </div>
        </div>
      ) : null}
      {make.error ? (
        <div className="sm:col-span-4">
          <Trouble error={make.error} />
        </div>
      ) : null}
    </form>
  )
}

/** Who asked, when, how much: never what. */
export function Requests() {
  const { t, locale } = useWords()
  const requests = useAsk('requests', {})
  return (
    <Card title={t('programs.log')}>
      <Answered of={requests}>
        {(requests) =>
          requests.length === 0 ? (
            <Empty title={t('programs.no_log')}>{t('programs.no_log_more')}</Empty>
          ) : (
            <Table
              caption={t('programs.log')}
              rows={requests.slice(0, 50)}
              id={(it) => `${it.at_ms}-${it.key}-${it.took_ms}`}
              columns={[
                { name: t('when'), cell: (it) => moment(it.at_ms, locale) },
                { name: t('name'), cell: (it) => it.key },
                { name: t('programs.path'), cell: (it) => <code className="text-xs">{it.path}</code> },
                { name: t('chat.model'), cell: (it) => it.model ?? '–' },
                { name: t('programs.status'), cell: (it) => <Badge tone={it.status === 200 ? 'tide' : 'rose'}>{it.problem ?? it.status}</Badge> },
                { name: t('programs.tokens'), cell: (it) => count(it.tokens, locale), end: true },
                { name: t('programs.took'), cell: (it) => `${count(it.took_ms / 1000, locale, 1)} s`, end: true },
              ]}
            />
          )
        }
      </Answered>
    </Card>
  )
}
