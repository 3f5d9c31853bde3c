import { useState } from 'react'
import { useWords } from '../i18n'
import { Button, Choice, Field } from '../parts/controls'
import { Trouble } from '../parts/display'
import { useDo } from '../state/host'

/** A wallet from elsewhere. The host lets its file be chosen, so that what is in it never comes to this page. */
export function WalletImport(props: { onMade: () => void }) {
  const { t } = useWords()
  const [name, setName] = useState('main')
  const [place, setPlace] = useState<'keyring' | 'file'>('keyring')
  const [passphrase, setPassphrase] = useState('')
  const [filePassphrase, setFilePassphrase] = useState('')
  const bring = useDo('wallet_import', ['wallets'])
  return (
    <details>
      <summary className="font-semibold">{t('wallet.import')}</summary>
      <p className="mt-2 max-w-prose text-sm text-soft">{t('wallet.import_more')}</p>
      <form
        className="mt-3 grid items-start gap-3 sm:grid-cols-2"
        onSubmit={(event) => {
          event.preventDefault()
          bring.mutate({ name, place, passphrase: place === 'file' ? passphrase : null, file_passphrase: filePassphrase || null }, { onSuccess: props.onMade })
        }}
      >
        <Field label={t('name')} required value={name} onChange={(event) => setName(event.target.value)} />
        <Choice label={t('wallet.place')} value={place} onChange={setPlace} options={[['keyring', t('wallet.keyring')], ['file', t('wallet.file')]]} />
        {place === 'file' ? <Field label={t('wallet.passphrase')} type="password" required value={passphrase} onChange={(event) => setPassphrase(event.target.value)} /> : null}
        <Field label={t('wallet.file_passphrase')} type="password" value={filePassphrase} onChange={(event) => setFilePassphrase(event.target.value)} />
        <div className="sm:col-span-2">
          <Button type="submit" busy={bring.isPending}>
            {t('wallet.import_now')}
          </Button>
        </div>
      </form>
      {bring.error ? (
        <div className="mt-3">
          <Trouble error={bring.error} />
        </div>
      ) : null}
    </details>
  )
}
