import {defineConfig} from 'vitest/config'

// Each of two workers has a cluster, or a namespace, and a target of its own, on which its tests run one after another.
// `MIRRORD_LONG=1` runs the large matrices whole.
export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    globalSetup: ['test/e2e/support/global-setup.ts'],
    disableConsoleIntercept: true,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
