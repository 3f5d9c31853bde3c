// What the host knows, kept fresh by what it says has happened.
import { type QueryClient, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { type Args, type Command, type HostEvent, type Result, usePlatform } from '../platform'

/** Which answers an event makes old. */
const stale: Record<Exclude<HostEvent['kind'], 'status' | 'answer' | 'notice' | 'measuring'>, Command[]> = {
  settings: ['settings_get', 'status', 'offer'],
  consents: ['consents', 'consent_history', 'status'],
  wallets: ['wallets', 'wallet_limits'],
  requests: ['programs', 'requests'],
  models: ['downloads', 'models'],
  money: ['wallet_balances', 'earnings', 'wallet_paid', 'chat_session'],
}

/** How often what nobody announces is asked again. */
const every: Partial<Record<Command, number>> = { network: 2000, earnings: 4000, wallet_balances: 5000, chat_session: 1000, offer: 15000 }

export function useAsk<C extends Command>(name: C, args: Args<C>, enabled = true) {
  const host = usePlatform()
  return useQuery<Result<C>>({
    queryKey: [name, args],
    queryFn: () => host.call(name, args),
    enabled,
    retry: false,
    staleTime: 1000,
    refetchInterval: every[name] ?? false,
  })
}

/** Does something, and then asks again for what it may have changed. */
export function useDo<C extends Command>(name: C, after: Command[] = []) {
  const host = usePlatform()
  const queries = useQueryClient()
  return useMutation<Result<C>, unknown, Args<C>>({
    mutationFn: (args) => host.call(name, args),
    onSettled: () => Promise.all(after.map((old) => queries.invalidateQueries({ queryKey: [old] }))),
  })
}

export function heard(queries: QueryClient, event: HostEvent | null) {
  if (event === null) return void queries.invalidateQueries()
  if (event.kind === 'status') return void queries.setQueryData(['status', {}], event.status)
  if (event.kind === 'answer' || event.kind === 'notice' || event.kind === 'measuring') return
  for (const old of stale[event.kind]) void queries.invalidateQueries({ queryKey: [old] })
}

/** Hears what happens, for as long as something is shown. */
export function useHeard(hear: (event: HostEvent) => void) {
  const host = usePlatform()
  const latest = useRef(hear)
  useEffect(() => {
    latest.current = hear
  })
  useEffect(() => host.listen((event) => (event ? latest.current(event) : undefined)), [host])
}

export function useHostEvents() {
  const host = usePlatform()
  const queries = useQueryClient()
  useEffect(() => host.listen((event) => heard(queries, event)), [host, queries])
}
