import { createContext, type ReactNode, useContext } from 'react'
import { httpPlatform } from './http'
import type { Platform } from './platform'
import { tauriPlatform } from './tauri'

export * from './platform'

/** The host that carries this page. */
export function platform(): Platform {
  return '__TAURI_INTERNALS__' in window ? tauriPlatform() : httpPlatform()
}

const Here = createContext<Platform | null>(null)

export function PlatformProvider(props: { platform: Platform; children: ReactNode }) {
  return <Here.Provider value={props.platform}>{props.children}</Here.Provider>
}

export function usePlatform(): Platform {
  const here = useContext(Here)
  if (!here) throw new Error('there is no platform around this')
  return here
}
