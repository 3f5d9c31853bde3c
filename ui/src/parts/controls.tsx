import { Switch as RadixSwitch } from 'radix-ui'
import { type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode, useId } from 'react'
import { Icon, type IconName } from './icons'

type Kind = 'main' | 'plain' | 'quiet' | 'danger'

const kinds: Record<Kind, string> = {
  main: 'bg-ember text-ember-ink hover:brightness-110 disabled:bg-well disabled:text-soft',
  plain: 'bg-sheet text-ink border border-edge hover:bg-well disabled:text-soft',
  quiet: 'text-soft hover:text-ink hover:bg-well',
  danger: 'bg-sheet text-rose border border-rose hover:bg-rose-wash',
}

export function Button(props: ButtonHTMLAttributes<HTMLButtonElement> & { kind?: Kind; icon?: IconName; busy?: boolean }) {
  const { kind = 'plain', icon, busy, className, children, ...rest } = props
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled || busy}
      aria-busy={busy || undefined}
      className={`inline-flex min-h-10 items-center justify-center gap-2 rounded-md px-4 py-1.5 text-sm font-semibold transition ${kinds[kind]} ${className ?? ''}`}
    >
      {icon ? <Icon name={icon} /> : null}
      {children}
    </button>
  )
}

/** A button that shows no words must still have some. */
export function IconButton(props: { icon: IconName; label: string; onClick?: () => void; disabled?: boolean; pressed?: boolean; className?: string }) {
  return (
    <button
      type="button"
      aria-label={props.label}
      title={props.label}
      aria-pressed={props.pressed}
      disabled={props.disabled}
      onClick={props.onClick}
      className={`inline-flex size-9 items-center justify-center rounded-md text-soft transition hover:bg-well hover:text-ink disabled:opacity-40 aria-pressed:bg-ember-wash aria-pressed:text-ember ${props.className ?? ''}`}
    >
      <Icon name={props.icon} />
    </button>
  )
}

export function Switch(props: { label: string; hint?: string; on: boolean; onChange: (on: boolean) => void; disabled?: boolean; large?: boolean }) {
  const id = useId()
  return (
    <div className="flex items-center justify-between gap-6 py-2">
      <label htmlFor={id} className="min-w-0">
        <span className={props.large ? 'font-display text-lg font-semibold' : 'font-medium'}>{props.label}</span>
        {props.hint ? <span className="block text-sm text-soft">{props.hint}</span> : null}
      </label>
      <RadixSwitch.Root
        id={id}
        checked={props.on}
        disabled={props.disabled ?? false}
        onCheckedChange={props.onChange}
        className={`relative shrink-0 rounded-full border border-edge bg-well transition data-[state=checked]:border-ember data-[state=checked]:bg-ember disabled:opacity-50 ${props.large ? 'h-9 w-16' : 'h-7 w-12'}`}
      >
        <RadixSwitch.Thumb
          className={`block rounded-full bg-edge transition data-[state=checked]:bg-ember-ink ${props.large ? 'size-7 translate-x-0.5 data-[state=checked]:translate-x-[1.8rem]' : 'size-5 translate-x-0.5 data-[state=checked]:translate-x-[1.45rem]'} rtl:-translate-x-0.5`}
        />
      </RadixSwitch.Root>
    </div>
  )
}

export function Field(props: InputHTMLAttributes<HTMLInputElement> & { label: string; hint?: string; error?: string | undefined; unit?: string }) {
  const { label, hint, error, unit, className, ...rest } = props
  const id = useId()
  return (
    <div className={className}>
      <label htmlFor={id} className="block text-sm font-medium">
        {label}
      </label>
      <span className="mt-1 flex items-center gap-2">
        <input
          {...rest}
          id={id}
          aria-invalid={error ? true : undefined}
          aria-describedby={hint || error ? `${id}-more` : undefined}
          className="min-h-10 w-full rounded-md border border-edge bg-sheet px-3 py-1.5 figures aria-invalid:border-rose"
        />
        {unit ? <span className="shrink-0 text-sm text-soft">{unit}</span> : null}
      </span>
      {hint || error ? (
        <p id={`${id}-more`} className={`mt-1 text-sm ${error ? 'text-rose' : 'text-soft'}`}>
          {error ?? hint}
        </p>
      ) : null}
    </div>
  )
}

export function Choice<T extends string>(props: { label: string; value: T; options: readonly (readonly [T, string])[]; onChange: (value: T) => void; className?: string }) {
  const id = useId()
  return (
    <div className={props.className}>
      <label htmlFor={id} className="block text-sm font-medium">
        {props.label}
      </label>
      <select
        id={id}
        value={props.value}
        onChange={(event) => props.onChange(event.target.value as T)}
        className="mt-1 min-h-10 w-full rounded-md border border-edge bg-sheet px-3 py-1.5"
      >
        {props.options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  )
}

export function Card(props: { title?: string; action?: ReactNode; children: ReactNode; className?: string }) {
  return (
    <section className={`rounded-lg border border-line bg-sheet p-5 shadow-sheet ${props.className ?? ''}`}>
      {props.title ? (
        <header className="mb-3 flex flex-wrap items-center justify-between gap-3">
          <h2 className="text-lg font-semibold">{props.title}</h2>
          {props.action}
        </header>
      ) : null}
      {props.children}
    </section>
  )
}
