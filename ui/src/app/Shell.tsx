import { Link, Outlet, useRouterState } from '@tanstack/react-router'
import { useCallback, useEffect, useRef, useState } from 'react'
import { useWords } from '../i18n'
import { Face, Icon, Mark } from '../parts/icons'
import { IconButton } from '../parts/controls'
import { useAsk, useHostEvents } from '../state/host'
import { Palette } from './Palette'
import { sentence } from './reasons'
import { Shortcuts } from './Shortcuts'
import { sections } from './sections'

export function Shell() {
  const { t } = useWords()
  const [palette, setPalette] = useState(false)
  const path = useRouterState({ select: (state) => state.location.pathname })
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)
  useHostEvents()

  // Whoever cannot see that the page has changed is taken to its title.
  useEffect(() => {
    const title = main.current?.querySelector('h1')
    document.title = title?.textContent ? `${title.textContent} · ComputePool` : 'ComputePool'
    if (!first.current) title?.focus()
    first.current = false
  }, [path])

  const find = useCallback(() => setPalette(true), [])

  return (
    <div className="flex min-h-screen flex-col md:flex-row">
      <a href="#main" className="sr-only focus:not-sr-only focus:fixed focus:start-3 focus:top-3 focus:z-20 focus:rounded-md focus:bg-ember focus:px-4 focus:py-2 focus:text-ember-ink">
        {t('skip')}
      </a>
      <div className="flex shrink-0 flex-col border-line bg-well max-md:border-b md:sticky md:top-0 md:h-screen md:w-56 md:border-e">
        <div className="flex items-center gap-3 px-4 py-4 font-display font-semibold">
          <Mark className="size-7" />
          <span className="grow">ComputePool</span>
          <IconButton icon="search" label={t('palette.open')} onClick={() => setPalette(true)} />
        </div>
        <nav aria-label={t('nav.label')} className="flex gap-1 overflow-x-auto px-2 pb-2 md:grow md:flex-col">
          {sections.map((section) => (
            <Link
              key={section.path}
              to={section.path}
              activeOptions={{ exact: section.path === '/' }}
              className="flex min-h-10 shrink-0 items-center gap-3 rounded-md px-3 text-soft transition hover:bg-sheet hover:text-ink aria-[current=page]:bg-sheet aria-[current=page]:font-semibold aria-[current=page]:text-ink aria-[current=page]:shadow-sheet"
            >
              <Icon name={section.icon} />
              {t(section.name)}
            </Link>
          ))}
        </nav>
        <Standing />
      </div>
      <main id="main" ref={main} className="min-w-0 grow">
        <Outlet />
      </main>
      <Shortcuts onPalette={find} />
      <Palette open={palette} onOpenChange={setPalette} />
    </div>
  )
}

/** The state that the tray shows too, on every page. */
function Standing() {
  const { t, locale } = useWords()
  const status = useAsk('status', {})
  if (!status.data) return null
  return (
    <p className="m-2 flex items-start gap-2 rounded-md bg-sheet p-3 text-sm max-md:hidden">
      <Face face={status.data.face} className="mt-0.5" />
      <span>{sentence(status.data, t, locale)}</span>
    </p>
  )
}
