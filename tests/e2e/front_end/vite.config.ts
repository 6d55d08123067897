import { defineConfig } from "vite";

export default defineConfig({
  // The Content-Security-Policy allows no fonts in `data:` addresses.
  build: { assetsInlineLimit: 0, sourcemap: true },
  esbuild: { jsx: "automatic" },
});
