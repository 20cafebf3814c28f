import {tmpdir} from 'node:os'
import {describe, expect, it} from 'vitest'
import type {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {resolveConfig} from '../../../src/config/index.ts'

const sizeOf = async (text: string) => {
  const {config} = await resolveConfig({cwd: tmpdir(), env: {}, flags: {'log-max': text}})
  return config.ci.log_max
}

describe('--log-max', () => {
  it.each([
    ['1024', 1024],
    ['1K', 1024],
    ['1k', 1024],
    ['010M', 10 * 1024 ** 2],
    ['2g', 2 * 1024 ** 3],
    ['8388607G', 8_388_607 * 1024 ** 3],
  ])('%s is %d bytes', async (text, bytes) => {
    expect(await sizeOf(text)).toBe(bytes)
  })

  it.each([
    ...['', 'abc', 'K', '10Q', '10MB', '10 M', '1.5M', '1e6', '-5', '+5', '0x400', '１０M', '10M\n'].map(
      (text) => [text, 'expected a size: a number of bytes, or one with K, M or G'] as const,
    ),
    ...['0', '1023', '0G', '8388608G', '9'.repeat(400)].map(
      (text) => [text, 'at least 1K and less than 8 PiB'] as const,
    ),
  ])('%j is refused, with the flag and what is expected', async (text, why) => {
    const error = await sizeOf(text).then(
      (size) => expect.fail(`taken as ${size}`),
      (error: MirrordError) => error.report,
    )
    expect(error).toMatchObject({code: 'CONFIG_INVALID', exit: 'configInvalid'})
    expect(JSON.stringify(error)).toContain('ci.log_max (flag --log-max)')
    expect(JSON.stringify(error)).toContain(why)
  })
})
