// What keys do, everywhere; `?` shows it.
import { useNavigate } from '@tanstack/react-router'
import { Dialog } from 'radix-ui'
import { useEffect, useState } from 'react'
import { useWords } from '../i18n'
import type { Key } from '../i18n'
import { IconButton } from '../parts/controls'

const keys: readonly (readonly [string, Key])[] = [
  ['Ctrl K', 'keys.palette'],
  ['Ctrl N', 'keys.new'],
  ['Ctrl ,', 'keys.settings'],
  ['Esc', 'keys.stop'],
  ['?', 'keys.sheet'],
]

/** A new conversation was asked for, wherever the page is. */
export const NEW_CONVERSATION = 'computepool:new-conversation'

/** Somebody is writing: a letter is a letter then. */
const writing = (target: EventTarget | null) => target instanceof HTMLElement && (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName))

export function Shortcuts(props: { onPalette: () => void }) {
  const { t } = useWords()
  const go = useNavigate()
  const [open, setOpen] = useState(false)
  const { onPalette } = props
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const held = event.ctrlKey || event.metaKey
      const key = event.key.toLowerCase()
      if (!held && key === '?' && !writing(event.target)) setOpen(true)
      else if (held && key === 'k') onPalette()
      else if (held && key === ',') void go({ to: '/settings' })
      else if (held && key === 'n') void go({ to: '/chat' }).then(() => window.dispatchEvent(new Event(NEW_CONVERSATION)))
      else return
      event.preventDefault()
    }
    window.addEventListener('keydown', pressed)
    return () => window.removeEventListener('keydown', pressed)
  }, [go, onPalette])
  return (
    <Dialog.Root open={open} onOpenChange={setOpen}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-30 bg-[rgb(0_0_0/45%)]" />
        <Dialog.Content aria-describedby={undefined} className="fixed inset-x-4 top-[15vh] z-30 mx-auto max-w-sm rounded-lg border border-line bg-sheet p-5 shadow-sheet">
          <div className="flex items-center justify-between">
            <Dialog.Title className="text-lg font-semibold">{t('keys.title')}</Dialog.Title>
            <Dialog.Close asChild>
              <IconButton icon="close" label={t('close')} />
            </Dialog.Close>
          </div>
          <dl className="mt-3 grid grid-cols-[auto_1fr] gap-x-5 gap-y-3">
            {keys.map(([key, name]) => (
              <div key={key} className="contents">
                <dt>
                  <kbd className="rounded-md border border-edge bg-well px-2 py-0.5 text-sm">{key}</kbd>
                </dt>
                <dd>{t(name)}</dd>
              </div>
            ))}
          </dl>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
