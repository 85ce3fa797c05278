import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

// `npm run dev` serves the page itself and sends everything else to a running natterjack.
const server = process.env.NATTERJACK_DEV_SERVER ?? 'http://127.0.0.1:8080'
const proxied = { target: server, changeOrigin: false }

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2022',
    // The page's content policy forbids data: URLs, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/config.json': proxied,
      '/auth': proxied,
      '/setup': proxied,
      '/nats-ws': { ...proxied, ws: true },
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}'],
  },
})
