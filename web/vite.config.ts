// Builds the live page into the room that serves it: three files with fixed names, the same bytes every time.
import { defineConfig } from 'vite';

export default defineConfig({
  base: '/page/',
  build: {
    outDir: '../crates/serve/page',
    emptyOutDir: true,
    modulePreload: false,
    target: 'es2022',
    rolldownOptions: {
      output: {
        entryFileNames: 'live.js',
        assetFileNames: 'live[extname]',
        codeSplitting: false,
        postBanner: '/*! Tickhouse live page. Holds lightweight-charts, (c) TradingView, Inc., Apache-2.0. */',
      },
    },
  },
  server: {
    proxy: {
      '/api': 'http://127.0.0.1:8080',
      '/ws': { target: 'ws://127.0.0.1:8080', ws: true },
    },
  },
});
