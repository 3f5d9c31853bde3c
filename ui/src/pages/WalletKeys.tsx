// Making a wallet, opening it, and showing that a backup exists. The words themselves never come to this page.
import { useState } from 'react'
import { useWords } from '../i18n'
import { Button, Card, Choice, Field } from '../parts/controls'
import { Trouble } from '../parts/display'
import type { WalletView } from '../platform'
import { useDo } from '../state/host'

const LEAST = 8

export function NewWallet(props: { first: boolean; onMade: (wallet: WalletView) => void }) {
  const { t } = useWords()
  const [name, setName] = useState(props.first ? 'main' : '')
  const [place, setPlace] = useState<'keyring' | 'file'>('keyring')
  const [passphrase, setPassphrase] = useState('')
  const make = useDo('wallet_create', ['wallets'])
  const unlock = useDo('wallet_unlock', ['wallets'])
  const short = place === 'file' && passphrase.length > 0 && passphrase.length < LEAST
  const given = place === 'file' ? passphrase : null
  const submit = () =>
    make.mutate(
      { name, place, passphrase: given },
      {
        onSuccess: (wallet) => {
          unlock.mutate({ name, passphrase: given })
          setPassphrase('')
          props.onMade(wallet)
        },
      },
    )
  return (
    <Card title={t('wallet.new')}>
      <p className="mb-4 text-sm text-soft">{t('wallet.new_more')}</p>
      <form
        className="grid gap-4 sm:grid-cols-2"
        onSubmit={(event) => {
          event.preventDefault()
          submit()
        }}
      >
        <Field label={t('name')} value={name} required onChange={(event) => setName(event.target.value)} />
        <Choice label={t('wallet.place')} value={place} onChange={setPlace} options={[['keyring', t('wallet.keyring')], ['file', t('wallet.file')]]} />
        {place === 'file' ? (
          <Field label={t('wallet.passphrase')} hint={t('wallet.passphrase_more')} error={short ? t('wallet.passphrase_short', { least: LEAST }) : undefined} type="password" autoComplete="new-password" required value={passphrase} onChange={(event) => setPassphrase(event.target.value)} />
        ) : null}
        <div className="flex items-end">
          <Button type="submit" kind="main" busy={make.isPending} disabled={short}>
            {t('wallet.make')}
          </Button>
        </div>
      </form>
      {make.error ? (
        <div className="mt-4">
          <Trouble error={make.error} />
        </div>
      ) : null}
    </Card>
  )
}

export function Unlock(props: { wallet: WalletView }) {
  const { t } = useWords()
  const [passphrase, setPassphrase] = useState('')
  const unlock = useDo('wallet_unlock', ['wallets', 'status'])
  const file = props.wallet.place === 'file'
  return (
    <form
      className="flex flex-wrap items-end gap-3"
      onSubmit={(event) => {
        event.preventDefault()
        unlock.mutate({ name: props.wallet.name, passphrase: file ? passphrase : null }, { onSuccess: () => setPassphrase('') })
      }}
    >
      {file ? <Field className="min-w-56" label={t('wallet.passphrase')} type="password" autoComplete="current-password" required value={passphrase} onChange={(event) => setPassphrase(event.target.value)} /> : null}
      <Button type="submit" kind="main" busy={unlock.isPending}>
        {t('wallet.unlock')}
      </Button>
      {unlock.error ? (
        <div className="basis-full">
          <Trouble error={unlock.error} />
        </div>
      ) : null}
    </form>
  )
}

/** First the words are shown beside the page, then some of them are asked back. */
export function Backup(props: { wallet: WalletView }) {
  const { t } = useWords()
  const { name, place } = props.wallet
  const [passphrase, setPassphrase] = useState('')
  const [answers, setAnswers] = useState<string[]>([])
  const show = useDo('wallet_show_words')
  const ask = useDo('wallet_backup_question')
  const answer = useDo('wallet_backup_answer', ['wallets'])
  const opening = { name, passphrase: place === 'file' ? passphrase : null }
  const asked = ask.data?.places ?? []
  return (
    <div className="rounded-md bg-sun-wash p-4">
      <h3 className="font-semibold">{t('backup.title')}</h3>
      <p className="mt-1 text-sm">{t('backup.more')}</p>
      {ask.data ? (
        <form
          className="mt-3 flex flex-wrap items-end gap-3"
          onSubmit={(event) => {
            event.preventDefault()
            answer.mutate({ ...opening, answers })
          }}
        >
          {asked.map((place, index) => (
            <Field
              key={place}
              className="w-32"
              label={t('backup.word', { place })}
              autoComplete="off"
              spellCheck={false}
              required
              value={answers[index] ?? ''}
              onChange={(event) => setAnswers(asked.map((_, at) => (at === index ? event.target.value.trim().toLowerCase() : (answers[at] ?? ''))))}
            />
          ))}
          <Button type="submit" kind="main" busy={answer.isPending}>
            {t('backup.check')}
          </Button>
        </form>
      ) : (
        <form
          className="mt-3 flex flex-wrap items-end gap-3"
          onSubmit={(event) => {
            event.preventDefault()
            show.mutate(opening)
          }}
        >
          {place === 'file' ? <Field className="min-w-56" label={t('wallet.passphrase')} type="password" autoComplete="current-password" required value={passphrase} onChange={(event) => setPassphrase(event.target.value)} /> : null}
          <Button type="submit" busy={show.isPending}>
            {t('backup.show')}
          </Button>
          {show.isSuccess ? (
            <Button kind="main" busy={ask.isPending} onClick={() => ask.mutate(opening)}>
              {t('backup.written')}
            </Button>
          ) : null}
        </form>
      )}
      {show.isSuccess && !ask.data ? <p role="status" className="mt-2 text-sm">{t('backup.where')}</p> : null}
      {(show.error ?? ask.error ?? answer.error) ? (
        <div className="mt-3">
          <Trouble error={show.error ?? ask.error ?? answer.error} />
        </div>
      ) : null}
    </div>
  )
}
