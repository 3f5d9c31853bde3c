// Numbers, sums and times as people write them where they live.

const cache = new Map<string, Intl.NumberFormat>()
function format(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = locale + JSON.stringify(options)
  const known = cache.get(key) ?? new Intl.NumberFormat(locale, options)
  cache.set(key, known)
  return known
}

export function count(value: number, locale: string, digits = 0): string {
  return format(locale, { maximumFractionDigits: digits }).format(value)
}

export function percent(value: number, locale: string): string {
  return format(locale, { style: 'percent', maximumFractionDigits: 0 }).format(value / 100)
}

const sizes = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const

export function bytes(value: number, locale: string): string {
  const step = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), sizes.length - 1)
  const digits = step < 2 ? 0 : 1
  const unit = sizes[step]!
  return format(locale, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: digits }).format(value / 1000 ** step)
}

/** Money comes as text, to the last unit; what is shown is cut off, never rounded up. */
export function money(amount: string, locale: string, digits = 6): string {
  const [whole = '0', rest = ''] = amount.split('.')
  const cut = rest.slice(0, digits).replace(/0+$/, '')
  const lost = cut === '' && whole === '0' && /[1-9]/.test(rest)
  if (lost) return `< ${format(locale, { minimumFractionDigits: digits }).format(Number(`1e-${digits}`))}`
  const point = format(locale, {}).formatToParts(1.1).find((part) => part.type === 'decimal')?.value ?? '.'
  const sign = whole.startsWith('-') ? '-' : ''
  const grouped = format(locale, {}).format(BigInt(whole.replace('-', '')))
  return sign + grouped + (cut ? point + cut.padEnd(2, '0') : '')
}

export function moment(ms: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' }).format(ms)
}

export function clock(ms: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' }).format(ms)
}
