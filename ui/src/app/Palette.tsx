// Everything by name: Ctrl or Cmd with K.
import { useNavigate } from '@tanstack/react-router'
import { Dialog } from 'radix-ui'
import { useMemo, useState } from 'react'
import { useWords } from '../i18n'
import { Icon, type IconName } from '../parts/icons'
import { useAsk, useDo } from '../state/host'
import { NEW_CONVERSATION } from './Shortcuts'
import { sections } from './sections'

interface Entry {
  icon: IconName
  name: string
  run: () => void
}

export function Palette(props: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const { t } = useWords()
  const go = useNavigate()
  const status = useAsk('status', {})
  const earn = useDo('earn_set', ['status'])
  const pause = useDo('pause', ['status'])
  const resume = useDo('resume', ['status'])
  const quit = useDo('quit')
  const [query, setQuery] = useState('')
  const [chosen, setChosen] = useState(0)

  const entries = useMemo(() => {
    const all: Entry[] = sections.map((section) => ({ icon: section.icon, name: t(section.name), run: () => void go({ to: section.path }) }))
    const on = status.data?.earn ?? false
    all.push({ icon: 'plus', name: t('keys.new'), run: () => void go({ to: '/chat' }).then(() => window.dispatchEvent(new Event(NEW_CONVERSATION))) })
    all.push({ icon: 'earn', name: on ? t('earn.switch_off') : t('earn.switch_on'), run: () => earn.mutate({ on: !on }) })
    if (status.data?.pause) all.push({ icon: 'again', name: t('resume'), run: () => resume.mutate({}) })
    else all.push({ icon: 'stop', name: t('pause.hour'), run: () => pause.mutate({ length: { kind: 'minutes', minutes: 60 }, finish: false }) })
    all.push({ icon: 'close', name: t('shell.quit'), run: () => quit.mutate({}) })
    return all.filter((entry) => entry.name.toLowerCase().includes(query.trim().toLowerCase()))
  }, [query, status.data, t, go, earn, pause, resume, quit])

  const close = () => {
    props.onOpenChange(false)
    setQuery('')
    setChosen(0)
  }
  const run = (entry: Entry | undefined) => {
    if (!entry) return
    close()
    entry.run()
  }
  const pressed = (event: React.KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step !== 0) {
      event.preventDefault()
      setChosen((chosen + step + entries.length) % Math.max(entries.length, 1))
    }
    if (event.key === 'Enter') run(entries[chosen])
  }
  return (
    <Dialog.Root open={props.open} onOpenChange={(open) => (open ? props.onOpenChange(true) : close())}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-30 bg-[rgb(0_0_0/45%)]" />
        <Dialog.Content aria-describedby={undefined} className="fixed inset-x-4 top-[12vh] z-30 mx-auto max-w-lg overflow-hidden rounded-lg border border-line bg-sheet shadow-sheet">
          <Dialog.Title className="sr-only">{t('palette.title')}</Dialog.Title>
          <input
            role="combobox"
            aria-expanded="true"
            aria-controls="palette-entries"
            aria-activedescendant={entries[chosen] ? `palette-${chosen}` : undefined}
            aria-label={t('palette.title')}
            placeholder={t('palette.title')}
            value={query}
            onChange={(event) => {
              setQuery(event.target.value)
              setChosen(0)
            }}
            onKeyDown={pressed}
            className="w-full border-b border-line bg-transparent px-4 py-3 text-lg outline-none"
          />
          <ul id="palette-entries" role="listbox" aria-label={t('palette.title')} className="max-h-[50vh] overflow-y-auto p-2">
            {entries.map((entry, index) => (
              <li
                key={entry.name}
                id={`palette-${index}`}
                role="option"
                aria-selected={index === chosen}
                onClick={() => run(entry)}
                onMouseMove={() => setChosen(index)}
                className="flex cursor-pointer items-center gap-3 rounded-md px-3 py-2 aria-selected:bg-ember-wash"
              >
                <Icon name={entry.icon} />
                {entry.name}
              </li>
            ))}
            {entries.length === 0 ? <li className="px-3 py-4 text-soft">{t('palette.none')}</li> : null}
          </ul>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
