import {TemplateError, type Value} from './value.ts'

/** The present as RFC 3339 text in local time or UTC, or as seconds since 1970. */
export function now(utc: boolean, timestamp: boolean): Value {
  const date = new Date()
  if (timestamp) return Math.floor(date.getTime() / 1000)
  const offset = utc ? 0 : -date.getTimezoneOffset()
  const local = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, -1)
  const [hours, minutes] = [Math.trunc(Math.abs(offset) / 60), Math.abs(offset) % 60].map((part) => pad(part))
  return `${local}${offset < 0 ? '-' : '+'}${hours}:${minutes}`
}

/** Formats a time, given as text or seconds since 1970, with the usual letters of strftime. Throws a TemplateError. */
export function formatDate(value: Value, format: string): string {
  const text = typeof value === 'number' ? new Date(value * 1000).toISOString() : typeof value === 'string' ? value : ''
  const parts = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?)?$/.exec(text)
  if (!parts) throw new TemplateError('it needs a time as text (2026-11-23T10:00:00Z) or seconds since 1970')
  const [, year = '', month = '', day = '', hour = '00', minute = '00', second = '00', zone = 'Z'] = parts
  const utc = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)))
  const named = (options: Intl.DateTimeFormatOptions) => utc.toLocaleDateString('en-US', {...options, timeZone: 'UTC'})
  const dayOfYear = (utc.getTime() - Date.UTC(Number(year), 0, 1)) / 86_400_000 + 1
  const letters: Readonly<Record<string, string>> = {
    ...{Y: year, m: month, d: day, H: hour, M: minute, S: second, '%': '%', y: year.slice(2)},
    ...{F: `${year}-${month}-${day}`, T: `${hour}:${minute}:${second}`, R: `${hour}:${minute}`, e: String(Number(day))},
    ...{
      a: named({weekday: 'short'}),
      A: named({weekday: 'long'}),
      b: named({month: 'short'}),
      B: named({month: 'long'}),
    },
    j: String(dayOfYear).padStart(3, '0'),
    z: zone === 'Z' ? '+0000' : zone.replace(':', ''),
    s: String(Math.floor(Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`) / 1000)),
  }
  return format.replaceAll(/%(.?)/g, (_, letter: string) => {
    if (Object.hasOwn(letters, letter)) return letters[letter]!
    throw new TemplateError(
      `the format knows ${Object.keys(letters)
        .map((known) => `%${known}`)
        .join(' ')}`,
    )
  })
}

const pad = (number: number) => String(number).padStart(2, '0')
