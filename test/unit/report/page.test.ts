import {createHash} from 'node:crypto'
import {expect, test} from 'vitest'
import {htmlReport} from '../../../src/report/html/page.ts'
import {exampleJob, heavySession, hostileSession} from './example.ts'

test('the policy allows exactly the style and the script of the page, and nothing else', () => {
  const page = htmlReport(exampleJob())
  const hash = (tag: string) =>
    createHash('sha256')
      .update(new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(page)![1]!)
      .digest('base64')
  expect(page.replaceAll('&#39;', "'")).toContain(
    `default-src 'none'; style-src 'sha256-${hash('style')}'; script-src 'sha256-${hash('script')}'; base-uri 'none'; form-action 'none'`,
  )
})

test('nothing from outside becomes an element, an attribute or a link', () => {
  const page = htmlReport(exampleJob([hostileSession()]))
  expect(page.match(/<script/g)).toHaveLength(1)
  expect(page).not.toContain('<img')
  expect(page).not.toMatch(/href="javascript/i)
  expect(page).not.toContain('\u202e')
  const job = exampleJob()
  expect(htmlReport({...job, run: {url: 'javascript:alert(1)'}})).not.toContain('href="javascript')
  expect(htmlReport({...job, run: {url: 'https://ci.example/"><b>'}})).toContain(
    'href="https://ci.example/&quot;&gt;&lt;b&gt;"',
  )
})

test('2,000 routes stay below 2 MiB', () => {
  const page = htmlReport(exampleJob([heavySession(2000)]))
  expect(Buffer.byteLength(page)).toBeLessThan(2 * 1024 * 1024)
  expect(page.match(/section-\d+/g)).toHaveLength(2000)
})

test('rows beyond the limit of a table are counted', () => {
  expect(htmlReport(exampleJob([heavySession(4100)]))).toContain('100 more are in mirrord-report.json')
})

test('a job without sessions has a page too', () => {
  expect(htmlReport(exampleJob([]))).toContain('<h1>No session</h1>')
})
