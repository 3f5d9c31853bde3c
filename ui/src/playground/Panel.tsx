// How answers are sampled, the rules, ready-made settings, and the same question for programs.
import { useState } from 'react'
import { useWords } from '../i18n'
import { Button, Choice, Field, IconButton } from '../parts/controls'
import type { Offer, Sampling } from '../platform'
import { messages } from './conversation'
import { snippet, type SnippetLanguage } from './snippets'
import type { useConversation } from './useConversation'

const presets = {
  precise: { temperature: 0, top_p: null, top_k: null },
  balanced: { temperature: 0.7, top_p: null, top_k: null },
  inventive: { temperature: 1.1, top_p: 0.95, top_k: null },
} as const

const number = (text: string): number | null => (text.trim() === '' ? null : Number(text))

export function Panel(props: { offer: Offer; model: string; sampling: Sampling; onSampling: (sampling: Sampling) => void; of: ReturnType<typeof useConversation>; onClose: () => void }) {
  const { t } = useWords()
  const { sampling, of } = props
  const [language, setLanguage] = useState<SnippetLanguage>('curl')
  const set = (change: Partial<Sampling>) => props.onSampling({ ...sampling, ...change })
  const preset = (Object.keys(presets) as (keyof typeof presets)[]).find((name) => presets[name].temperature === sampling.temperature && presets[name].top_p === sampling.top_p)
  const tip = of.conversation.tip
  const said = tip === null ? [{ role: 'user' as const, content: '…' }] : messages(of.conversation, tip)
  const code = snippet(language, props.offer.endpoint, props.model, said, sampling)
  return (
    <aside aria-label={t('chat.panel')} className="w-80 shrink-0 space-y-5 overflow-y-auto border-s border-line bg-paper p-4 max-lg:fixed max-lg:inset-y-0 max-lg:end-0 max-lg:z-10 max-lg:shadow-sheet">
      <div className="flex items-center justify-between">
        <h2 className="font-semibold">{t('chat.panel')}</h2>
        <IconButton icon="close" label={t('close')} onClick={props.onClose} />
      </div>
      <div>
        <label htmlFor="rules" className="block text-sm font-medium">
          {t('chat.system')}
        </label>
        <textarea id="rules" rows={4} value={of.conversation.system} placeholder={t('chat.system_more')} onChange={(event) => of.setSystem(event.target.value)} className="mt-1 w-full rounded-md border border-edge bg-sheet p-2 text-sm" />
      </div>
      <Choice label={t('chat.preset')} value={preset ?? 'own'} onChange={(name) => name !== 'own' && set(presets[name])} options={[['precise', t('preset.precise')], ['balanced', t('preset.balanced')], ['inventive', t('preset.inventive')], ['own', t('preset.own')]]} />
      <div className="grid grid-cols-2 gap-3">
        <Field label={t('sampling.temperature')} inputMode="decimal" value={String(sampling.temperature ?? '')} onChange={(event) => set({ temperature: number(event.target.value) })} />
        <Field label="top_p" inputMode="decimal" value={String(sampling.top_p ?? '')} onChange={(event) => set({ top_p: number(event.target.value) })} />
        <Field label="top_k" inputMode="numeric" value={String(sampling.top_k ?? '')} onChange={(event) => set({ top_k: number(event.target.value) })} />
        <Field label={t('sampling.seed')} inputMode="numeric" value={String(sampling.seed ?? '')} onChange={(event) => set({ seed: number(event.target.value) })} />
        <Field label={t('sampling.longest')} inputMode="numeric" value={String(sampling.max_tokens ?? '')} onChange={(event) => set({ max_tokens: number(event.target.value) })} />
      </div>
      <div>
        <Choice label={t('developer.snippet')} value={language} onChange={setLanguage} options={[['curl', 'curl'], ['python', 'Python'], ['javascript', 'JavaScript']]} />
        <pre tabIndex={0} className="mt-2 max-h-64 overflow-auto rounded-md bg-well p-3 font-mono text-xs">
          {code}
        </pre>
        <Button className="mt-2" icon="copy" onClick={() => void navigator.clipboard.writeText(code)}>
          {t('copy')}
        </Button>
      </div>
    </aside>
  )
}
