import { useState } from 'react'
import { useWords } from '../i18n'
import { Button, IconButton } from '../parts/controls'
import { Answered } from '../parts/display'
import { useAsk, useDo } from '../state/host'

export function Threads(props: { shown: boolean; chosen: string; onChoose: (id: string) => void }) {
  const { t } = useWords()
  const [query, setQuery] = useState('')
  const threads = useAsk('threads', { query })
  const forget = useDo('thread_delete', ['threads'])
  const begin = () => props.onChoose(crypto.randomUUID())
  return (
    <aside aria-label={t('chat.threads')} className={`w-64 shrink-0 flex-col gap-3 border-e border-line p-3 ${props.shown ? 'flex' : 'hidden lg:flex'}`}>
      <Button icon="plus" onClick={begin}>
        {t('chat.new')}
      </Button>
      <input type="search" aria-label={t('chat.search')} placeholder={t('chat.search')} value={query} onChange={(event) => setQuery(event.target.value)} className="min-h-9 rounded-md border border-edge bg-sheet px-3" />
      <div className="min-h-0 grow overflow-y-auto">
        <Answered of={threads}>
          {(threads) =>
            threads.length === 0 ? (
              <p className="px-2 text-sm text-soft">{query === '' ? t('chat.no_threads') : t('chat.not_found')}</p>
            ) : (
              <ul className="space-y-1">
                {threads.map((thread) => (
                  <li key={thread.id} className="group flex items-center rounded-md hover:bg-well has-[[aria-current]]:bg-well">
                    <button type="button" aria-current={thread.id === props.chosen ? 'true' : undefined} onClick={() => props.onChoose(thread.id)} className="min-w-0 grow px-3 py-2 text-start text-sm">
                      <span className="block truncate">{thread.title}</span>
                      {thread.found ? <span className="block truncate text-xs text-soft">{thread.found}</span> : null}
                    </button>
                    <IconButton
                      icon="trash"
                      label={t('chat.delete', { title: thread.title })}
                      className="opacity-0 group-hover:opacity-100 focus:opacity-100"
                      onClick={() =>
                        forget.mutate(
                          { id: thread.id },
                          {
                            onSuccess: () => {
                              if (thread.id === props.chosen) begin()
                            },
                          },
                        )
                      }
                    />
                  </li>
                ))}
              </ul>
            )
          }
        </Answered>
      </div>
      <p className="px-1 text-xs text-soft">{t('chat.kept_here')}</p>
    </aside>
  )
}
