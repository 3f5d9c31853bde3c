// An account as a picture that a telephone can read; drawn, not fetched.
import { encode } from 'uqr'

export function QrCode(props: { text: string; label: string }) {
  const { data, size } = encode(props.text, { border: 2 })
  const path = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : []))).join('')
  return (
    <svg viewBox={`0 0 ${size} ${size}`} role="img" aria-label={props.label} className="size-44 rounded-md" shapeRendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  )
}
