import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { router } from './app/router'
import { Onboarding } from './pages/Onboarding'
import { languageOf, speak, Words } from './i18n'
import { Waiting, Trouble } from './parts/display'
import { platform, PlatformProvider } from './platform'
import { useAsk } from './state/host'
import './theme.css'

function App() {
  const settings = useAsk('settings_get', {})
  const look = settings.data?.look
  useEffect(() => {
    if (!look) return
    speak(languageOf(look.language, navigator.languages))
    if (look.theme === 'system') {
      delete document.documentElement.dataset.theme
      localStorage.removeItem('theme')
    } else {
      document.documentElement.dataset.theme = look.theme
      localStorage.setItem('theme', look.theme)
    }
  }, [look])
  if (settings.error) {
    return (
      <main className="mx-auto max-w-xl p-10">
        <h1 className="sr-only">ComputePool</h1>
        <Trouble error={settings.error} retry={() => void settings.refetch()} />
      </main>
    )
  }
  if (!settings.data) {
    return (
      <main className="p-10">
        <Waiting />
      </main>
    )
  }
  return settings.data.setup.done ? <RouterProvider router={router} /> : <Onboarding settings={settings.data} />
}

speak(languageOf(null, navigator.languages))
const queries = new QueryClient()
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <PlatformProvider platform={platform()}>
      <QueryClientProvider client={queries}>
        <Words>
          <App />
        </Words>
      </QueryClientProvider>
    </PlatformProvider>
  </StrictMode>,
)
