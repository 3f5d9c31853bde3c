import tailwind from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react(), tailwind()],
  // Nothing inline: the page's policy allows files alone.
  build: { assetsInlineLimit: 0, sourcemap: false, chunkSizeWarningLimit: 900, modulePreload: { polyfill: false } },
})
