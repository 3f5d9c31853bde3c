import type { Key } from '../i18n'
import type { IconName } from '../parts/icons'

/** The rooms of the application, in their order. */
export const sections = [
  { path: '/', icon: 'home', name: 'nav.home' },
  { path: '/chat', icon: 'chat', name: 'nav.chat' },
  { path: '/earn', icon: 'earn', name: 'nav.earn' },
  { path: '/pools', icon: 'pools', name: 'nav.pools' },
  { path: '/wallet', icon: 'wallet', name: 'nav.wallet' },
  { path: '/models', icon: 'models', name: 'nav.models' },
  { path: '/privacy', icon: 'privacy', name: 'nav.privacy' },
  { path: '/developer', icon: 'developer', name: 'nav.developer' },
  { path: '/settings', icon: 'settings', name: 'nav.settings' },
] as const satisfies readonly { path: string; icon: IconName; name: Key }[]
