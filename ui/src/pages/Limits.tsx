import { useState } from 'react'
import { useWords } from '../i18n'
import { Button, Choice, Field } from '../parts/controls'
import { Trouble } from '../parts/display'
import { useDo } from '../state/host'

const purposes = ['voucher', 'transfer', 'stake', 'coalition'] as const

/** What a wallet may spend on one thing, at once and in a day. */
export function LimitForm(props: { wallet: string }) {
  const { t } = useWords()
  const [purpose, setPurpose] = useState<string>('voucher')
  const [asset, setAsset] = useState('USDC')
  const [each, setEach] = useState('')
  const [day, setDay] = useState('')
  const set = useDo('wallet_limit_set', ['wallet_limits'])
  return (
    <details className="mt-3">
      <summary className="text-sm text-soft">{t('wallet.limit_set')}</summary>
      <form
        className="mt-2 grid items-end gap-3 sm:grid-cols-[1fr_1fr_1fr_1fr_auto]"
        onSubmit={(event) => {
          event.preventDefault()
          set.mutate({ name: props.wallet, purpose, asset, each, day })
        }}
      >
        <Choice label={t('wallet.purpose')} value={purpose} onChange={setPurpose} options={purposes.map((it) => [it, it] as const)} />
        <Choice label={t('wallet.asset')} value={asset} onChange={setAsset} options={[['USDC', 'USDC'], ['USDCx', 'USDCx'], ['native', t('wallet.gas')]]} />
        <Field label={t('wallet.each')} required inputMode="decimal" value={each} onChange={(event) => setEach(event.target.value)} />
        <Field label={t('wallet.day')} required inputMode="decimal" value={day} onChange={(event) => setDay(event.target.value)} />
        <Button type="submit" busy={set.isPending}>
          {t('wallet.limit_save')}
        </Button>
      </form>
      {set.error ? <Trouble error={set.error} /> : null}
    </details>
  )
}
