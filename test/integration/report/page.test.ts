import {once} from 'node:events'
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import {createRequire} from 'node:module'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {pathToFileURL} from 'node:url'
import type {Browser, Page} from 'puppeteer-core'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {htmlReport} from '../../../src/report/html/page.ts'
import type {JobReport} from '../../../src/report/schema.ts'
import {requestsOf} from '../../../src/report/totals.ts'
import {crashedSession, exampleJob, exampleSession, heavySession, hostileSession} from '../../unit/report/example.ts'
import {chromium, startBrowser} from './browser.ts'

/** As much of the DOM as the functions below use inside the page: the project's own types are those of Node alone. */
interface Part {
  textContent: string | null
  cells: Iterable<Part>
  ariaSort: string | null
  scrollWidth: number
  scrollHeight: number
  clientHeight: number
  matches(selector: string): boolean
}
declare const document: {activeElement: Part; documentElement: Part; createElement(name: string): Part}
declare function getComputedStyle(part: Part): {display: string; outlineStyle: string}

/** The code of axe-core, run inside the page. */
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const images = path.join(import.meta.dirname, '../../../docs/images')

describe.skipIf(!chromium)(`the report's page in Chromium${chromium ? '' : ' (there is none on this machine)'}`, () => {
  let folder: string
  let browser: Browser

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'mirrord-report-page-'))
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    rmSync(folder, {recursive: true, force: true})
  })

  /** Opens a report; `seen` collects what a quiet page never causes. */
  async function open(
    report: JobReport,
    {width = 1200, scheme = 'light', script = true}: {width?: number; scheme?: string; script?: boolean} = {},
  ): Promise<{page: Page; seen: string[]; [Symbol.asyncDispose](): Promise<void>}> {
    const context = await browser.createBrowserContext()
    const page = await context.newPage()
    const seen: string[] = []
    const file = path.join(folder, `${Math.random().toString(36).slice(2)}.html`)
    const url = pathToFileURL(file).href
    page.on('console', (message) => seen.push(`console: ${message.text()}`))
    page.on('pageerror', (error) => seen.push(`error: ${String(error)}`))
    page.on('dialog', (dialog) => seen.push(`dialog: ${dialog.message()}`))
    page.on('requestfinished', (request) => {
      if (request.url() !== url) seen.push(`request: ${request.url()}`)
    })
    await page.setJavaScriptEnabled(script)
    await page.setViewport({width, height: 900})
    await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: scheme}])
    writeFileSync(file, htmlReport(report))
    await page.goto(url)
    return {page, seen, [Symbol.asyncDispose]: () => context.close()}
  }

  /** The texts of a table's visible rows. */
  const rows = (page: Page, id: string) =>
    page.$$eval(`#${id} tbody tr:not([hidden])`, (found: Part[]) =>
      found.map((row) => [...row.cells].map((cell) => cell.textContent)),
    )

  /** Presses Tab until `selector` has the focus. */
  async function tabTo(page: Page, selector: string): Promise<void> {
    for (let presses = 0; presses < 200; presses++) {
      if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return
      await page.keyboard.press('Tab')
    }
    throw new Error(`Tab never reaches ${selector}`)
  }

  test.each(['light', 'dark'])('axe finds nothing in the %s scheme, wide and narrow', async (scheme) => {
    for (const width of [1200, 360]) {
      await using opened = await open(exampleJob(), {scheme, width})
      // Its code is put in by the debugger, which the page's policy does not concern.
      await opened.page.evaluate(axe)
      const found = await opened.page.evaluate(async () => {
        const {axe} = globalThis as unknown as {
          axe: {run(): Promise<{violations: {id: string; nodes: {html: string}[]}[]}>}
        }
        return (await axe.run()).violations.map(({id, nodes}) => [id, ...nodes.map(({html}) => html)])
      })
      expect(found).toEqual([])
    }
  })

  test('loads nothing, says nothing on the console and runs nothing from outside', async () => {
    const met: string[] = []
    const elsewhere = createServer((request, response) => {
      met.push(request.url ?? '')
      response.end()
    }).listen(0, '127.0.0.1')
    await once(elsewhere, 'listening')
    const address = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`
    try {
      for (const report of [exampleJob(), exampleJob([hostileSession()])]) {
        await using opened = await open(report)
        // Even a script that got in could not send anything away.
        const refused = await opened.page.evaluate((src) => {
          const image = document.createElement('img')
          return new Promise((resolve) =>
            Object.assign(image, {src, onload: () => resolve(false), onerror: () => resolve(true)}),
          )
        }, address)
        expect(refused).toBe(true)
        expect(
          opened.seen.filter((text) => !text.includes(`'${address}' violates the following Content Security Policy`)),
        ).toEqual([])
      }
      expect(met).toEqual([])
    } finally {
      elsewhere.close()
    }
  })

  test('shows what the JSON says', async () => {
    const report = exampleJob()
    await using opened = await open(report)
    const {page} = opened
    expect(await page.$eval('h1', (heading: Part) => heading.textContent)).toBe('1 of 2 sessions failed')
    const failure = report.sessions[1]!.failure!
    const card = await page.$eval('main > :first-child', (first: Part) => first.textContent)
    for (const text of [failure.what, failure.why!, ...failure.next, failure.code]) expect(card).toContain(text)
    for (const {session, incoming, outgoing, dns, files, phases, warnings} of report.sessions) {
      const id = `s-${session.id}`
      const plain = (text: string | null) => (text ?? '').replaceAll('\u202f', '')
      expect((await rows(page, `${id}-requests`)).map((cells) => cells.slice(0, 4).map(plain))).toEqual(
        incoming.routes.map((route) => [route.path, route.method, String(route.port), String(requestsOf(route))]),
      )
      expect((await rows(page, `${id}-destinations`)).map((cells) => cells.slice(0, 4).map(plain))).toEqual(
        outgoing.map((to) => [to.address, to.names.join(', '), to.protocol.toUpperCase(), String(to.connections)]),
      )
      expect((await rows(page, `${id}-names`)).map((cells) => cells.map(plain))).toEqual(
        dns.map(({name, queries, failed}) => [name, String(queries), String(failed)]),
      )
      expect(await rows(page, `${id}-files`)).toHaveLength(files.fetched.length + files.written.length)
      expect((await rows(page, `${id}-phases`)).map(([name]) => name)).toEqual(phases.map(({name}) => name))
      expect((await rows(page, `${id}-warnings`)).map(([text]) => text)).toEqual(warnings)
    }
  })

  test('filters and sorts by keyboard alone, and tells how many rows are left', async () => {
    await using opened = await open(exampleJob())
    const {page} = opened
    const id = `s-${exampleSession().session.id}-requests`
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement.textContent)).toBe('Skip to the content')
    await page.keyboard.press('Enter')
    await tabTo(page, `#${id}-filter`)
    await page.keyboard.type('VISITS post')
    expect((await rows(page, id)).map(([route]) => route)).toEqual(['/visits/:id'])
    expect(await page.$eval(`#${id} [role=status]`, (status: Part) => status.textContent)).toBe('1 of 10 rows')
    await page.keyboard.press('Escape')
    expect(await rows(page, id)).toHaveLength(10)
    expect(await page.$eval(`#${id} [role=status]`, (status: Part) => status.textContent)).toBe('')
    await tabTo(page, `#${id} thead th:nth-child(4) button`)
    await page.keyboard.press('Enter')
    const requests = async () => (await rows(page, id)).map((cells) => Number(cells[3]))
    expect(await requests()).toEqual((await requests()).toSorted((a, b) => b - a))
    expect(await page.$eval(`#${id} thead th:nth-child(4)`, (header: Part) => header.ariaSort)).toBe('descending')
    await page.keyboard.press('Space')
    expect(await requests()).toEqual((await requests()).toSorted((a, b) => a - b))
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
    expect(outline).toBe('solid')
  })

  test('everything is there without JavaScript, and no control that does nothing', async () => {
    await using opened = await open(exampleJob(), {script: false})
    const html = await opened.page.content()
    expect(html).toContain('/visits/:id/history')
    expect(html).not.toMatch(/<(input|button)/)
  })

  test('a window of 360 pixels is never scrolled sideways as a whole, not by hostile names either', async () => {
    for (const report of [exampleJob(), exampleJob([hostileSession()])]) {
      await using opened = await open(report, {width: 360})
      expect(await opened.page.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
    }
  })

  test('on paper the tables are whole and the controls are gone', async () => {
    await using opened = await open(exampleJob())
    const {page} = opened
    await page.emulateMediaType('print')
    expect(
      await page.$$eval('.filter, nav', (found: Part[]) => found.map((part) => getComputedStyle(part).display)),
    ).toEqual(expect.not.arrayContaining(['block', 'flex']))
    expect(
      await page.$$eval('.scroll', (found: Part[]) => found.every((part) => part.clientHeight === part.scrollHeight)),
    ).toBe(true)
    expect((await page.pdf({format: 'A4'})).length).toBeGreaterThan(10_000)
  })

  test('2,000 routes can be filtered', async () => {
    await using opened = await open(exampleJob([heavySession(2000)]))
    const id = `s-${exampleSession().session.id}-requests`
    await opened.page.type(`#${id}-filter`, 'section-1999')
    expect(await rows(opened.page, id)).toHaveLength(1)
    expect(opened.seen).toEqual([])
  })

  test.runIf(process.env.MIRRORD_SCREENSHOTS)('writes the pictures of the documentation', async () => {
    mkdirSync(images, {recursive: true})
    for (const scheme of ['light', 'dark']) {
      await using opened = await open(exampleJob([exampleSession(), crashedSession()]), {scheme, width: 960})
      await opened.page.setViewport({width: 960, height: 1000})
      const file = path.join(images, `report-${scheme}.png`)
      await opened.page.screenshot({
        path: file,
        clip: {x: 0, y: 0, width: 960, height: 1450},
        captureBeyondViewport: true,
      })
      expect(readFileSync(file).length).toBeLessThan(200_000)
    }
  })
})
