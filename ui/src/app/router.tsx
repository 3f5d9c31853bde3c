import { createHashHistory, createRootRoute, createRoute, createRouter } from '@tanstack/react-router'
import { DeveloperPage } from '../pages/Developer'
import { EarnPage } from '../pages/Earn'
import { HomePage } from '../pages/Home'
import { ModelsPage } from '../pages/Models'
import { PoolsPage } from '../pages/Pools'
import { PrivacyPage } from '../pages/Privacy'
import { SettingsPage } from '../pages/Settings'
import { WalletPage } from '../pages/Wallet'
import { PlaygroundPage } from '../playground/Playground'
import { Shell } from './Shell'

const root = createRootRoute({ component: Shell, notFoundComponent: HomePage })
const at = <P extends string>(path: P, component: () => React.ReactNode) => createRoute({ getParentRoute: () => root, path, component })

const pages = root.addChildren([
  at('/', HomePage),
  at('/chat', PlaygroundPage),
  at('/earn', EarnPage),
  at('/pools', PoolsPage),
  at('/wallet', WalletPage),
  at('/models', ModelsPage),
  at('/privacy', PrivacyPage),
  at('/developer', DeveloperPage),
  at('/settings', SettingsPage),
])

// The address bar of a webview is nobody's business; behind # nothing is ever asked of a server.
export const router = createRouter({ routeTree: pages, history: createHashHistory() })

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
