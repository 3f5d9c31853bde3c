// Draws icons/*.svg in every size that the shell and its bundles need. PNG inside of ICO and ICNS, as both allow.
import { readFileSync, writeFileSync } from 'node:fs'
import { Resvg } from '@resvg/resvg-js'

const icons = new URL('../../icons/', import.meta.url).pathname
const draw = (name, size) => Buffer.from(new Resvg(readFileSync(`${icons}${name}.svg`, 'utf8'), { fitTo: { mode: 'width', value: size } }).render().asPng())

for (const [file, size] of [['32x32', 32], ['128x128', 128], ['128x128@2x', 256], ['icon', 512]]) writeFileSync(`${icons}${file}.png`, draw('app', size))
for (const face of ['idle', 'earning', 'paused', 'attention', 'offline']) writeFileSync(`${icons}tray-${face}.png`, draw(`tray-${face}`, 64))

/** A directory of pictures, then the pictures. */
function ico(sizes) {
  const pictures = sizes.map((size) => ({ size, png: draw('app', size) }))
  const head = Buffer.alloc(6 + 16 * pictures.length)
  head.writeUInt16LE(1, 2)
  head.writeUInt16LE(pictures.length, 4)
  let at = head.length
  pictures.forEach(({ size, png }, index) => {
    const entry = 6 + 16 * index
    head.writeUInt8(size % 256, entry)
    head.writeUInt8(size % 256, entry + 1)
    head.writeUInt16LE(1, entry + 4)
    head.writeUInt16LE(32, entry + 6)
    head.writeUInt32LE(png.length, entry + 8)
    head.writeUInt32LE(at, entry + 12)
    at += png.length
  })
  return Buffer.concat([head, ...pictures.map(({ png }) => png)])
}
writeFileSync(`${icons}icon.ico`, ico([16, 24, 32, 48, 64, 256]))

/** Chunks of a type and a length. */
function icns(kinds) {
  const chunk = (kind, data) => {
    const head = Buffer.alloc(8)
    head.write(kind, 'ascii')
    head.writeUInt32BE(data.length + 8, 4)
    return Buffer.concat([head, data])
  }
  return chunk('icns', Buffer.concat(kinds.map(([kind, size]) => chunk(kind, draw('app', size)))))
}
writeFileSync(`${icons}icon.icns`, icns([['icp4', 16], ['icp5', 32], ['ic07', 128], ['ic08', 256], ['ic09', 512]]))
