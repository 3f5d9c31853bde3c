// Our own icons, drawn on a grid of 20 with strokes of 1.6.
import type { ReactNode } from 'react'

const paths = {
  home: 'M3 9.5 10 3l7 6.5M5 8.5V17h10V8.5',
  chat: 'M4 4h12v9H9l-4 3.5V13H4z',
  earn: 'M10 3v14M13.5 6.2C12.6 5.3 6.8 4.6 6.8 7.6c0 3.2 6.6 1.7 6.6 4.9 0 3.1-6 2.6-7.2 1.2',
  pools: 'M10 2.8a7.2 7.2 0 1 0 7.2 7.2M10 2.8v3M17.2 10h-3M14.5 3.6a1.6 1.6 0 1 0 .1 0',
  wallet: 'M3 6h12.5A1.5 1.5 0 0 1 17 7.5v8A1.5 1.5 0 0 1 15.500 17h-11A1.500 1.500 0 0 1 3 15.500zM3 6l10-3v3M13.500 11.500h.1',
  models: 'M10 2.500 17 6v8l-7 3.500L3 14V6zM3 6l7 3.500L17 6M10 9.500v8',
  privacy: 'M10 2.500 16 5v5c0 4-2.600 6.500-6 7.500-3.400-1-6-3.500-6-7.500V5zM7.500 10l2 2 3.500-4',
  developer: 'M7 6 3 10l4 4M13 6l4 4-4 4M11.500 4l-3 12',
  settings: 'M4 6h7M15 6h1M4 14h1M9 14h7M13 4v4M7 12v4',
  stop: 'M6 6h8v8H6z',
  send: 'M10 16V4M5 9l5-5 5 5',
  copy: 'M7 7h9v9H7zM13 7V4H4v9h3',
  edit: 'M4 16l1-4 8-8 3 3-8 8zM11.500 5.500l3 3',
  again: 'M16 5v4h-4M16 9a6 6 0 1 0 .5 4',
  back: 'M12 5l-5 5 5 5',
  next: 'M8 5l5 5-5 5',
  trash: 'M4 6h12M8 6V4h4v2M6 6l.7 10h6.600L14 6',
  plus: 'M10 4v12M4 10h12',
  search: 'M9 3.500a5.500 5.500 0 1 0 0 11 5.500 5.500 0 0 0 0-11M13 13l4 4',
  out: 'M8 4H4v12h12v-4M11 4h5v5M16 4l-7 7',
  check: 'M4 10.500l4 4 8-9',
  split: 'M3 4h6v12H3zM11 4h6v12h-6z',
  close: 'M5 5l10 10M15 5 5 15',
  menu: 'M3 6h14M3 10h14M3 14h14',
} as const

export type IconName = keyof typeof paths

export function Icon(props: { name: IconName; className?: string }) {
  return (
    <svg viewBox="0 0 20 20" aria-hidden="true" className={`size-[1.2em] shrink-0 ${props.className ?? ''}`}>
      <path d={paths[props.name]} fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  )
}

export type FaceName = 'idle' | 'earning' | 'paused' | 'attention' | 'offline'

const faces: Record<FaceName, { colour: string; shape: ReactNode }> = {
  idle: { colour: 'text-soft', shape: <circle cx="10" cy="10" r="6" fill="none" stroke="currentColor" strokeWidth="2" /> },
  earning: {
    colour: 'text-tide',
    shape: (
      <>
        <circle cx="10" cy="10" r="7" fill="none" stroke="currentColor" strokeWidth="2" />
        <circle cx="10" cy="10" r="3.500" fill="currentColor" className="motion-safe:animate-[breathe_2.400s_ease-in-out_2]" />
      </>
    ),
  },
  paused: { colour: 'text-sun', shape: <path d="M6.500 4v12M13.500 4v12" stroke="currentColor" strokeWidth="3.200" strokeLinecap="round" /> },
  attention: {
    colour: 'text-rose',
    shape: <path d="M10 3 18 17H2zM10 8v4M10 14.400v.1" fill="none" stroke="currentColor" strokeWidth="1.800" strokeLinejoin="round" strokeLinecap="round" />,
  },
  offline: { colour: 'text-soft', shape: <path d="M4 4l12 12M6 9a6 6 0 0 1 8 0M8.500 12.500a2.500 2.500 0 0 1 3 0" fill="none" stroke="currentColor" strokeWidth="1.800" strokeLinecap="round" /> },
}

/** A state by its shape and its colour; its words stand beside it. */
export function Face(props: { face: FaceName; className?: string }) {
  const { colour, shape } = faces[props.face]
  return (
    <svg viewBox="0 0 20 20" aria-hidden="true" className={`size-5 shrink-0 ${colour} ${props.className ?? ''}`}>
      {shape}
    </svg>
  )
}

/** The mark: a ring of three, one of which is alight. */
export function Mark(props: { className?: string }) {
  return (
    <svg viewBox="0 0 64 64" aria-hidden="true" className={props.className}>
      <circle cx="32" cy="32" r="22" fill="none" stroke="currentColor" strokeWidth="5" strokeDasharray="29 17" strokeLinecap="round" transform="rotate(-68 32 32)" />
      <circle cx="32" cy="10" r="7" className="fill-ember" />
      <circle cx="51" cy="43" r="7" className="fill-tide" />
      <circle cx="13" cy="43" r="7" fill="currentColor" />
    </svg>
  )
}
