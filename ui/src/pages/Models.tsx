import { useState } from 'react'
import { useWords } from '../i18n'
import { bytes, count } from '../i18n/numbers'
import { Card } from '../parts/controls'
import { Answered, Badge, Empty, Meter, Page } from '../parts/display'
import type { ModelView } from '../platform'
import { useAsk } from '../state/host'
import { Downloads } from './Downloads'

const contexts = [2048, 4096, 8192, 16384, 32768, 65536, 131072]
const tones = { comfortable: 'tide', tight: 'sun', shared: 'ember', too_large: 'rose' } as const

export function ModelsPage() {
  const { t, locale } = useWords()
  const [step, setStep] = useState(1)
  const tokens = contexts[step] ?? 4096
  const models = useAsk('models', { tokens })
  return (
    <Page title={t('nav.models')} lead={t('models.lead')}>
      <Card>
        <label htmlFor="context" className="flex justify-between gap-4 font-medium">
          {t('models.context')}
          <span className="figures">{t('models.tokens', { count: count(tokens, locale) })}</span>
        </label>
        <input id="context" type="range" min={0} max={contexts.length - 1} value={step} aria-valuetext={String(tokens)} onChange={(event) => setStep(Number(event.target.value))} className="mt-2 w-full" />
        <p className="mt-1 text-sm text-soft">{t('models.context_more')}</p>
      </Card>
      <Downloads />
      <Answered of={models} rows={5}>
        {(models) =>
          models.length === 0 ? <Empty title={t('models.none')}>{t('models.none_more')}</Empty> : models.map((model) => <Model key={model.hash} model={model} />)
        }
      </Answered>
    </Page>
  )
}

function Model(props: { model: ModelView }) {
  const { t, locale } = useWords()
  const { model } = props
  const total = model.weights + model.kv + model.reserve
  return (
    <Card title={model.id} action={<Badge tone={tones[model.fit]}>{t(`fit.${model.fit}`, { count: model.machines })}</Badge>}>
      <p className="text-sm text-soft">{t('models.about', { architecture: model.architecture, layers: model.layers, context: count(model.context, locale) })}</p>
      <div className="mt-4">
        <Meter name={t('models.needs')} part={total / Math.max(model.memory, 1)} hot={total > model.memory} text={t('models.of', { total: bytes(total, locale), memory: bytes(model.memory, locale) })} />
      </div>
      <p className="figures mt-2 text-sm text-soft">
        {t('models.parts', { weights: bytes(model.weights, locale), kv: bytes(model.kv, locale), reserve: bytes(model.reserve, locale) })}
      </p>
      <code className="mt-2 block truncate text-xs text-soft" title={model.path}>
        {model.path}
      </code>
    </Card>
  )
}
