import {writeFileSync} from 'node:fs'
import path from 'node:path'
import {beforeEach, describe, expect, test} from 'vitest'
import {withOwnMounts} from '../integration/own-mounts.ts'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import type {Result} from './support/mirrord.ts'

// A disk that is full or read-only, at whatever step of a start: code and message, and nothing left.

beforeEach(() => {
  const quiet = {target: 'deployment/info', feature: {network: {incoming: 'off'}}}
  writeFileSync(path.join(job.folder, 'quiet.json'), JSON.stringify(quiet))
})

/** A start below a shell that has a mount namespace of its own; its words are "$@", so that "$1" "$2" is mirrord. */
function start(script: string): Promise<Result> {
  const below = [...withOwnMounts, 'sh', '-c', script, 'sh']
  return job.run(['ci', 'start', '-f', 'quiet.json', '--', 'sleep', '300'], {below})
}

/** Ends a start that succeeded, then shows what is on the disk, under the status of the start. */
const finish = (disk: string) =>
  `"$@"; status=$?; [ $status != 0 ] || "$1" "$2" ci stop || status=99
   find "$${disk}" -mindepth 1 -printf 'left %P\\n'; exit $status`

const left = ({stdout}: Result) => [...stdout.matchAll(/^left (.*)$/gm)].map(([, name]) => name)

// The long form meets every single write of a start.
const long = process.env.MIRRORD_LONG !== undefined

describe('a start whose disk is full', () => {
  test.each([
    ['of inodes', 'nr_inodes=', '', 1, long ? 1 : 5],
    ['of data', 'size=', 'k', 4, long ? 4 : 8],
  ])(
    '%s for the state ends with 81 wherever that happens, and leaves nothing [D28]',
    async (_, option, unit, first, by) => {
      const connected = new Set<boolean>()
      for (let limit = first; ; limit += by) {
        const result = await start(
          `mount -t tmpfs -o ${option}${limit}${unit} none "$RUNNER_TEMP" && ${finish('RUNNER_TEMP')}`,
        )
        expect(left(result), `${limit}\n${result.output}`).toEqual([])
        expect(job.processes()).toEqual([])
        if (result.code === 0) break
        expectFailure(result, 'permission', 'STATE_DIRECTORY', 'ENOSPC', 'RUNNER_TEMP or TMPDIR')
        connected.add(result.stderr.includes('is connected'))
      }
      expect(connected).toEqual(new Set([false, true]))
      await harness.nothingLeft(job)
    },
  )

  test('for the output ends with 81 wherever that happens, and leaves no more than the log [D28]', async () => {
    const codes = new Set<string>()
    for (let limit = 1; ; limit += long ? 1 : 2) {
      const result = await start(`mount -t tmpfs -o nr_inodes=${limit} none "$TMPDIR" && ${finish('TMPDIR')}`)
      expect(job.processes()).toEqual([])
      if (result.code === 0) break
      const code = /Code: (OUTPUT_DIRECTORY|OUTPUT_FILES) /.exec(result.stderr)?.[1] ?? 'none'
      expectFailure(result, 'permission', code, 'ENOSPC', 'ci.output_dir')
      codes.add(code)
      const files = left(result).filter(
        (name) => !/^mirrord(\/sleep-[^/]+(\/(mirrord\.log|report\.json|std\w+))?)?$/.test(name!),
      )
      expect(files).toEqual([])
    }
    expect(codes).toEqual(new Set(['OUTPUT_DIRECTORY', 'OUTPUT_FILES']))
    await harness.nothingLeft(job)
  })
})

test('a disk that fills up during the run does not keep a stop from ending everything', async () => {
  const fill = 'cat /dev/zero >"$RUNNER_TEMP/filler" 2>/dev/null'
  const result = await start(
    `mount -t tmpfs -o size=1m none "$RUNNER_TEMP" && "$@" && { ${fill}; "$1" "$2" ci stop; }
     status=$?; rm "$RUNNER_TEMP/filler"; find "$RUNNER_TEMP" -mindepth 1 -printf 'left %P\\n'; exit $status`,
  )
  expectExit(result, 'success')
  expect(result.stdout).toMatch(/^Stopped sleep /m)
  expect(left(result)).toEqual([])
  await harness.nothingLeft(job)
})

test.each([
  ['everywhere', '/tmp', 'STATE_DIRECTORY'],
  ['for the output', '"$TMPDIR"', 'OUTPUT_DIRECTORY'],
])('a disk that is read-only %s ends the start with 81', async (_, folder, code) => {
  // What another job has left there two days ago can be removed by nobody, and is no matter of this start.
  const stale = '"$RUNNER_TEMP/mirrord-$(id -u)/0badcafe"'
  const result = await start(
    `mkdir -pm 700 ${stale}/0badcafe/files && touch -d '2 days ago' ${stale}/0badcafe &&
     mount --bind ${folder} ${folder} && mount -o remount,ro,bind ${folder} && "$@"; status=$?
     umount ${folder}; rm -rf ${stale}; exit $status`,
  )
  expectFailure(result, 'permission', code, 'EROFS')
  await harness.nothingLeft(job)
})
