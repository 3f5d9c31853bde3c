// Words for people. English is the source; another language that lacks a key does not compile.
import { i18n, setupI18n } from '@lingui/core'
import { I18nProvider, useLingui } from '@lingui/react'
import { compileMessage } from '@lingui/message-utils/compileMessage'
import type { ReactNode } from 'react'
import { de } from './de'
import { en } from './en'

export type Key = keyof typeof en
export type Values = Record<string, string | number>

export const languages = { en: 'English', de: 'Deutsch' } as const
export type Language = keyof typeof languages

const catalogues: Record<Language, Record<Key, string>> = { en, de }

/** The language that was chosen, or the best that the system asks for. */
export function languageOf(chosen: string | null | undefined, system: readonly string[]): Language {
  const known = (tag: string) => (Object.keys(languages) as Language[]).find((it) => tag.toLowerCase().startsWith(it))
  return (chosen && known(chosen)) || system.map(known).find(Boolean) || 'en'
}

export function speak(language: Language) {
  i18n.setMessagesCompiler(compileMessage)
  i18n.loadAndActivate({ locale: language, messages: catalogues[language] })
  document.documentElement.lang = language
}

/** Another language, for tests. */
export function speaker(language: Language) {
  const own = setupI18n({ locale: language, messages: { [language]: catalogues[language] } })
  own.setMessagesCompiler(compileMessage)
  return (key: Key, values?: Values) => own._(key, values)
}

export function Words(props: { children: ReactNode }) {
  return <I18nProvider i18n={i18n}>{props.children}</I18nProvider>
}

/** `t('home.title')`, in the language that holds now. */
export function useWords() {
  const { i18n: now } = useLingui()
  return { t: (key: Key, values?: Values) => now._(key, values), locale: now.locale }
}
