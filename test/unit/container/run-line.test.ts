import {execFileSync, spawnSync} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {checkRunLine} from '../../../src/container/accept.ts'
import {containerName, ownVariables, runWords} from '../../../src/container/command.ts'
import {programOf, type ImageConfig} from '../../../src/container/image.ts'
import {letters, options, switches} from '../../../src/container/run-flags.ts'
import {mountPoints} from '../../../src/container/mounts.ts'
import {isOn, lastValue, parseRunLine} from '../../../src/container/run-line.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'

const line = (text: string) => parseRunLine(text.split(' '))
const image: ImageConfig = {
  entrypoint: ['/entry'],
  command: ['serve', '--all'],
  environment: {},
  user: '',
  workdir: '/',
  architecture: 'amd64',
}
const failure = (act: () => unknown) => {
  try {
    act()
  } catch (error) {
    if (error instanceof MirrordError) return error.report
    throw error
  }
  throw new Error('nothing was refused')
}

describe('a run line', () => {
  test.each([
    ['docker run image', [], 'image', []],
    ['docker run -it image sh -c x', ['interactive=true', 'tty=true'], 'image', ['sh', '-c', 'x']],
    ['podman run -p 80:80 -p81:81 -p=82:82 image', ['publish=80:80', 'publish=81:81', 'publish=82:82'], 'image', []],
    ['docker run -itp 80:80 image', ['interactive=true', 'tty=true', 'publish=80:80'], 'image', []],
    ['docker run -d=false --rm=true image -d', ['detach=false', 'rm=true'], 'image', ['-d']],
    ['docker run -eA=1 -e B -e=C=3 image', ['env=A=1', 'env=B', 'env=C=3'], 'image', []],
    ['docker run --env-file a.env --env A=b=c image', ['env-file=a.env', 'env=A=b=c'], 'image', []],
    ['nerdctl run --name -x image', ['name=-x'], 'image', []],
    ['docker run --rm -- image --rm', ['rm=true'], 'image', ['--rm']],
    ['docker run --rm image -- x', ['rm=true'], 'image', ['--', 'x']],
    ['docker run --new-flag=7 image', ['new-flag=7'], 'image', []],
    ['/usr/bin/podman run image', [], 'image', []],
  ])('%s', (text, flags, name, command) => {
    const parsed = line(text)
    expect(parsed.flags.map((flag) => `${flag.name}=${flag.value}`)).toEqual(flags)
    expect([parsed.image, parsed.command]).toEqual([name, command])
  })

  test.each([
    ['', 'CONTAINER_RUNTIME'],
    ['lxc run image', 'CONTAINER_RUNTIME'],
    ['docker', 'CONTAINER_RUNTIME'],
    ['docker create image', 'CONTAINER_RUNTIME'],
    ['docker --context x run image', 'CONTAINER_RUNTIME'],
    ['docker run', 'CONTAINER_LINE'],
    ['docker run --rm', 'CONTAINER_LINE'],
    ['docker run -p', 'CONTAINER_LINE'],
    ['docker run --new-flag 7 image', 'CONTAINER_LINE'],
    ['docker run -iz image', 'CONTAINER_LINE'],
    ['docker run --name x ', 'CONTAINER_LINE'],
  ])('"%s" is refused', (text, code) => {
    expect(failure(() => line(text))).toMatchObject({code, exit: 'usage'})
  })

  test('the last of several values counts', () => {
    const parsed = line('docker run --name a --name b --rm --rm=false --net host image')
    expect(lastValue(parsed, 'name')).toBe('b')
    expect(isOn(parsed, 'rm')).toBe(false)
    expect(lastValue(parsed, 'network', 'net')).toBe('host')
  })

  const installed = ['docker', 'podman'].filter(
    (runtime) => spawnSync(runtime, ['run', '--help'], {stdio: 'ignore'}).status === 0,
  )
  test.skipIf(installed.length === 0).each(installed)('every flag that %s run has is known', (runtime) => {
    const help = execFileSync(runtime, ['run', '--help'], {encoding: 'utf8'})
    const flags = [...help.matchAll(/^ +(?:-(\w), )?--([\w-]+)(?: (\S+))?(?: {2,}|$)/gm)]
    expect(flags.length).toBeGreaterThan(80)
    for (const [, letter, name = '', type] of flags) {
      expect(`${name} ${(type === undefined ? switches : options).has(name)}`).toBe(`${name} true`)
      if (letter) expect(letters.get(letter)).toBe(name)
    }
  })
})

describe('what cannot be had', () => {
  test.each([
    ['docker run --network bridge image', '--network bridge'],
    ['docker run --net=none image', '--network none'],
    ['docker run --restart always image', '--restart always'],
    ['podman run --pod web image', '--pod'],
    ['podman run --rootfs /tree', '--rootfs'],
    ['docker run --help image', '--help'],
    ['docker run -it image', '-t'],
  ])('%s', (text, flag) => {
    const report = failure(() => checkRunLine(line(text), {foreground: false}))
    expect(report).toMatchObject({code: 'CONTAINER_FLAG', exit: 'usage'})
    expect(report.what).toContain(flag)
    expect(report.next.join()).not.toBe('')
  })

  test('a terminal and -d are for one of the two kinds of start', () => {
    expect(checkRunLine(line('docker run -it image'), {foreground: true})).toEqual([])
    expect(checkRunLine(line('docker run -d image'), {foreground: false})).toEqual([])
    expect(failure(() => checkRunLine(line('docker run -d image'), {foreground: true})).what).toContain('-d')
  })

  test('published ports give a warning', () => {
    const [warning, ...more] = checkRunLine(line('docker run -p 80:8080 -P --network host image'), {foreground: false})
    expect(warning).toContain('-p 80:8080 -P has no effect')
    expect(more).toEqual([])
  })
})

describe('what is run', () => {
  const additions = {trap: '/lib/a,b/trap', directory: '/tmp/s', socket: '/tmp/s/t.sock', label: 'mirrord.session=1'}

  test('the trap, with what the user wants, and no secret', () => {
    const words = runWords(line('podman run -d -it --rm -eA=1 -p 1:1 --entrypoint x --pull always image sh'), additions)
    expect(words).toEqual([
      'run',
      ...['--interactive=true', '--tty=true', '--env=A=1', '--rm', '--network=host', '--label=mirrord.session=1'],
      '--mount=type=bind,"source=/lib/a,b/trap",target=/.mirrord-trap,readonly',
      '--mount=type=bind,source=/tmp/s,target=/tmp/s',
      ...['--entrypoint=/.mirrord-trap', 'image', '--connect', '/tmp/s/t.sock'],
    ])
  })

  test.each([
    ['docker run image', ['/entry', 'serve', '--all']],
    ['docker run image other', ['/entry', 'other']],
    ['docker run --entrypoint sh image', ['sh']],
    ['docker run --entrypoint sh image -c x', ['sh', '-c', 'x']],
    ['docker run --entrypoint= image id', ['id']],
    ['docker run --entrypoint ["a","b"] image', ['["a","b"]']],
    ['podman run --entrypoint ["a","b"] image c', ['a', 'b', 'c']],
  ])('%s: the program of Docker’s rules', (text, words) => {
    expect(programOf(line(text), image)).toEqual(words)
  })

  test('an image without a program is refused', () => {
    expect(failure(() => programOf(line('docker run image'), {...image, entrypoint: [], command: []}))).toMatchObject({
      code: 'CONTAINER_IMAGE',
      exit: 'programNotFound',
    })
  })

  test('variables of the line are known by name, those of files too', () => {
    const folder = mkdtempSync('/tmp/mirrord-run-line-')
    writeFileSync(path.join(folder, 'a.env'), '# no\nFROM_FILE=1\n\n  BARE\n')
    try {
      expect([...ownVariables(line('docker run -e A=1 -eB --env-file a.env image'), folder)].sort()).toEqual([
        'A',
        'B',
        'BARE',
        'FROM_FILE',
      ])
      expect(failure(() => ownVariables(line('docker run --env-file b.env image'), folder)).code).toBe('CONTAINER_LINE')
    } finally {
      rmSync(folder, {recursive: true})
    }
  })

  test.each([
    ['docker run --name web image', 'web'],
    ['docker run registry.example:5000/team/app:1.2@sha256:0', 'app'],
    ['docker run app', 'app'],
  ])('%s is called %s', (text, name) => {
    expect(containerName(line(text))).toBe(name)
  })
})

describe('what a run line mounts', () => {
  test.each([
    ['-v /host:/data:ro', ['/data']],
    ['--volume=named:/var/lib/x/', ['/var/lib/x']],
    ['-v /anonymous', ['/anonymous']],
    ['-v .:/src/../app -v a:/b:Z,U', ['/app', '/b']],
    ['--mount type=bind,source=/host,target=/data,readonly', ['/data']],
    ['--mount type=tmpfs,dst=/one --mount=destination=/two,type=volume', ['/one', '/two']],
    ['--mount "source=/a,b","target=/c,""d""",type=bind', ['/c,"d"']],
    ['--tmpfs /run/x:size=1m --tmpfs=/y', ['/run/x', '/y']],
    ['-v a:relative -e VOLUME=/x --mount type=bind', []],
    ['-v /:/', ['/']],
  ])('%s', (flags, points) => {
    expect(mountPoints(line(`docker run ${flags} image -v /not:/this`))).toEqual(points)
  })
})
