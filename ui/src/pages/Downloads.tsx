import { useState } from 'react'
import { useWords } from '../i18n'
import { bytes } from '../i18n/numbers'
import { Button, Card, Field } from '../parts/controls'
import { Answered, Badge, Meter, Trouble } from '../parts/display'
import type { Download } from '../platform'
import { useAsk, useDo } from '../state/host'

const tones = { running: 'ember', checking: 'ember', stopped: 'plain', failed: 'rose', done: 'tide' } as const

/** Models on their way to this computer. */
export function Downloads() {
  const { t, locale } = useWords()
  const [url, setUrl] = useState('')
  const [sha256, setSha256] = useState('')
  const downloads = useAsk('downloads', {})
  const fetch = useDo('model_fetch', ['downloads'])
  return (
    <Card title={t('download.title')}>
      <form
        className="grid items-start gap-3"
        onSubmit={(event) => {
          event.preventDefault()
          fetch.mutate({ url, sha256: sha256.trim() || null }, { onSuccess: () => setUrl('') })
        }}
      >
        <Field label={t('download.url')} hint={t('download.url_more')} type="url" required spellCheck={false} value={url} onChange={(event) => setUrl(event.target.value)} />
        <Field label={t('download.sha256')} hint={t('download.sha256_more')} spellCheck={false} value={sha256} onChange={(event) => setSha256(event.target.value)} />
        <div>
          <Button type="submit" icon="plus" busy={fetch.isPending}>
            {t('download.begin')}
          </Button>
        </div>
      </form>
      {fetch.error ? (
        <div className="mt-3">
          <Trouble error={fetch.error} />
        </div>
      ) : null}
      <Answered of={downloads} rows={1}>
        {(view) => (
          <>
            {view.free === null ? null : <p className="mt-3 text-sm text-soft">{t('download.free', { free: bytes(view.free, locale), folder: view.folder })}</p>}
            <ul className="mt-4 space-y-4">
              {view.downloads.map((download) => (
                <One key={download.file} download={download} />
              ))}
            </ul>
          </>
        )}
      </Answered>
    </Card>
  )
}

function One(props: { download: Download }) {
  const { t, locale } = useWords()
  const { download } = props
  const fetch = useDo('model_fetch', ['downloads'])
  const stop = useDo('model_stop', ['downloads'])
  const remove = useDo('model_delete', ['downloads', 'models'])
  const { bytes: here, total, per_second: speed, state, file } = download
  const left = total && speed > 0 ? Math.round((total - here) / speed / 60) : null
  const runs = state === 'running' || state === 'checking'
  return (
    <li>
      <div className="mb-2 flex flex-wrap items-center gap-2">
        <code className="grow">{file}</code>
        <Badge tone={tones[state]}>{t(`download.${state}`)}</Badge>
        {runs ? <Button onClick={() => stop.mutate({ file })}>{t('download.stop')}</Button> : null}
        {state === 'stopped' || state === 'failed' ? <Button onClick={() => fetch.mutate({ url: download.url, sha256: null })}>{t('download.again')}</Button> : null}
        {runs ? null : (
          <Button kind="danger" onClick={() => remove.mutate({ file })}>
            {t('download.delete')}
          </Button>
        )}
      </div>
      <Meter name={left === null ? '' : t('download.left', { speed: bytes(speed, locale), minutes: left })} part={total ? here / total : null} text={t('download.of', { bytes: bytes(here, locale), total: total === null ? '?' : bytes(total, locale) })} />
      {download.problem ? (
        <p className="mt-1 text-sm text-rose">
          {download.problem.message}. {download.problem.hint}
        </p>
      ) : null}
      {(fetch.error ?? remove.error) ? <Trouble error={fetch.error ?? remove.error} /> : null}
    </li>
  )
}
