// Why the machine serves or does not, in the owner's language.
import type { Key, Values } from '../i18n'
import { bytes, clock } from '../i18n/numbers'
import type { Reason, Status } from '../platform'

type Say = (key: Key, values?: Values) => string

export function because(reason: Reason, t: Say, locale: string): string {
  switch (reason.code) {
    case 'paused':
      return reason.until_ms === null ? t('reason.paused') : t('reason.paused_until', { time: clock(reason.until_ms, locale) })
    case 'in_use':
      return t('reason.in_use', { minutes: Math.ceil(Math.max(reason.needed_s - reason.idle_s, 0) / 60) })
    case 'cannot_see_input':
      return t('reason.cannot_see_input')
    case 'on_battery':
      return t('reason.on_battery')
    case 'data_cap':
      return t('reason.data_cap', { cap: bytes(reason.cap_bytes, locale) })
    case 'gpu_in_use':
      return t('reason.gpu_in_use', { app: reason.app ?? t('other.programs'), percent: reason.percent, gpu: reason.gpu })
    case 'fullscreen':
    case 'exclusive_app':
      return t(`reason.${reason.code}`, { app: reason.app })
    case 'too_hot':
      return t('reason.too_hot', { gpu: reason.gpu, celsius: reason.celsius, until: reason.until })
    case 'too_loud':
      return t('reason.too_loud', { gpu: reason.gpu, percent: reason.percent })
    case 'too_much_power':
      return t('reason.too_much_power', { gpu: reason.gpu, watts: reason.watts })
    default:
      return t(`reason.${reason.code}`)
  }
}

/** The one sentence. */
export function sentence(status: Status, t: Say, locale: string): string {
  if (!status.earn) return t('state.off')
  if (status.reason.code !== 'free') return t('state.paused', { reason: because(status.reason, t, locale) })
  return t(`state.${status.node.phase}`)
}
