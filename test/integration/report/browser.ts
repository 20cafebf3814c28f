import {existsSync} from 'node:fs'
import puppeteer, {type Browser} from 'puppeteer-core'

/** Debian's Chromium, or another one that is installed; undefined without. */
export const chromium = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
].find((file) => existsSync(file))

/** Starts the browser. Root may not use Chromium's own sandbox, and containers have little /dev/shm. */
export function startBrowser(): Promise<Browser> {
  return puppeteer.launch({
    executablePath: chromium!,
    args: ['--disable-dev-shm-usage', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
    timeout: 60_000,
  })
}
