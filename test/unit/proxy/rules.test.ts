import {describe, expect, it} from 'vitest'
import {rootSection} from '../../../src/config/index.ts'
import {fileRules} from '../../../src/proxy/files/rules.ts'
import type {PathClass} from '../../../src/proxy/files/listing.ts'
import {pathClasses} from '../../../src/trap/types.ts'
import {compiler, matchNatively} from '../patterns/native.ts'

const context = {
  home: '/root/dev.user',
  cwd: '/builds/shop',
  temporary: '/scratch/tmp',
  executable: '/work/bin/server',
  toolCache: '/__t',
}

function rulesOf(fs: unknown) {
  const config = rootSection.parse({feature: {fs}})
  const rules = fileRules(config.feature.fs, context)
  if (!rules) throw new Error('these files are all local')
  return rules
}

/** Judges paths by the functions of the session and, where there is a compiler, by the matcher of the trap. */
function judge(fs: unknown, expected: Record<string, PathClass>): void {
  const {rules, classify} = rulesOf(fs)
  const paths = Object.keys(expected)
  expect(Object.fromEntries(paths.map((path) => [path, classify(path)]))).toEqual(expected)
  if (!compiler) return
  const [labels] = matchNatively([{automaton: rules, texts: paths}])
  const local = pathClasses.local
  expect(Object.fromEntries(paths.map((path, index) => [path, labels![index] || local]))).toEqual(
    Object.fromEntries(paths.map((path) => [path, pathClasses[expected[path]!]])),
  )
}

const title = compiler ? 'in the session and in the trap' : 'in the session (the trap needs gcc)'

describe(`the rules of files, ${title}`, () => {
  it('[FS-29] read what the target has, and neither libraries nor credentials', () => {
    judge(
      {mode: 'read'},
      {
        '/etc/hosts': 'readOnly',
        '/etc/resolv.conf': 'readOnly',
        '/etc/hostname': 'readOnly',
        '/etc/ssl/certs': 'readOnly',
        '/etc/ssl/certs/ca.pem': 'readOnly',
        '/ETC/HOSTS': 'readOnly',
        '/etc/hosts.allow': 'local',
        '/etc/passwd': 'local',
        '/app/x.py': 'local',
        '/app/x.PY': 'local',
        '/app/x.json': 'modeReadOnly',
        '/app/x.ts': 'modeReadOnly',
        '/app/x.mjs': 'modeReadOnly',
        '/app/libx.so': 'local',
        '/app/libx.so.1': 'modeReadOnly',
        '/app/package.json': 'local',
        '/app/node_modules/x/index.mjs': 'local',
        '/app/.tool-versions': 'local',
        '/root/dev.user/.kube/config': 'notFound',
        '/root/dev.user/.config/gcloud/credentials.db': 'notFound',
        '/root/dev.user/.azure': 'notFound',
        '/root/devxuser/.kube/config': 'modeReadOnly',
        '/root/dev.user/.npmrc': 'local',
        '/root/dev.user/data': 'modeReadOnly',
        '/var/log/x': 'modeReadOnly',
        '/var/run/secrets/token': 'modeReadOnly',
        '/var/tmp/x': 'local',
        '/lib64/ld.so.2': 'modeReadOnly',
        '/proc/self/maps': 'local',
        '/procession': 'modeReadOnly',
        '/': 'local',
        '/builds/shop': 'local',
        '/builds/shop/src/a.ts': 'local',
        '/builds/shopping': 'modeReadOnly',
        '/scratch/tmp/x': 'local',
        '/work/bin/server': 'local',
        '/work/bin/server2': 'modeReadOnly',
        '/__t/node/22/lib.txt': 'local',
        '/__test': 'modeReadOnly',
        '/data/naïve/ü.txt': 'modeReadOnly',
      },
    )
  })

  it('[FS-30] are the first of not_found, read_write, read_only, local, the default ones and the mode', () => {
    const fs = {
      not_found: '/secret',
      read_write: ['/secret', '/shared', '^/tmp/remote'],
      read_only: ['/shared', '/assets', '/plain$'],
      local: ['/assets', '/scratch', '/dev.user/\\.kube', '^/etc/hosts$'],
    }
    const expected: Record<string, PathClass> = {
      '/data/secret': 'notFound',
      '/data/shared/x': 'readWrite',
      '/tmp/remote/x': 'readWrite',
      '/tmp/other': 'local',
      '/data/assets': 'readOnly',
      '/etc/plain': 'readOnly',
      '/data/scratch': 'local',
      // The user's local comes before the default not-found and the default remote.
      '/root/dev.user/.kube/config': 'local',
      '/root/dev.user/.azure/x': 'notFound',
      '/etc/hosts': 'local',
      '/etc/hostname': 'readOnly',
    }
    judge({...fs, mode: 'read'}, {...expected, '/data/x': 'modeReadOnly'})
    judge({...fs, mode: 'write'}, {...expected, '/data/x': 'modeReadWrite'})
    judge({...fs, mode: 'localwithoverrides'}, {...expected, '/data/x': 'local'})
  })

  it('[FS-31] leave everything local that no pattern names, with localwithoverrides', () => {
    judge(
      {mode: 'localwithoverrides', read_only: '^/app/config'},
      {
        '/app/config/a.json': 'readOnly',
        '/app/data/a.json': 'local',
        '/var/log/x': 'local',
        '/etc/hosts': 'readOnly',
        '/etc/passwd': 'local',
        '/root/dev.user/.kube/config': 'notFound',
      },
    )
  })

  it('[FS-32] map the first match of the first key that matches, and nothing else', () => {
    const {map, mapping} = rulesOf({
      mode: 'read',
      mapping: {
        '/(baz)': '/tmp/mirrord-$1',
        '/foo': '/bar',
        '/(?<kind>[a-z]+)-data': '/data/${kind}',
        '/BIG': '/small',
      },
    })
    const expected = {
      '/baz/test': '/tmp/mirrord-baz/test',
      '/foo/baz': '/foo/tmp/mirrord-baz',
      '/foo/x/foo': '/bar/x/foo',
      '/app/test': '/app/test',
      '/user-data/x': '/data/user/x',
      '/BIG/x': '/small/x',
      '/big/x': '/big/x',
      '/FOO/x': '/FOO/x',
    }
    const paths = Object.keys(expected)
    expect(Object.fromEntries(paths.map((path) => [path, map(path)]))).toEqual(expected)
    // What the trap asks about: every path that a key matches without regard to case.
    const asked = ['/baz/test', '/foo/baz', '/foo/x/foo', '/user-data/x', '/BIG/x', '/big/x', '/FOO/x']
    if (!compiler) return
    const [labels] = matchNatively([{automaton: mapping!, texts: paths}])
    expect(paths.filter((_, index) => labels![index] !== 0)).toEqual(asked)
  })

  it('ask nothing without a mapping, and know whether something may be written in the target', () => {
    const {map, mapping, writable} = rulesOf({mode: 'read'})
    expect([mapping, map('/x'), writable]).toEqual([undefined, '/x', false])
    expect(rulesOf({mode: 'write'}).writable).toBe(true)
    expect(rulesOf({mode: 'read', read_write: 'x'}).writable).toBe(true)
    expect(rulesOf({mode: 'localwithoverrides', read_only: 'x'}).writable).toBe(false)
  })

  it('are none at all in mode local, whatever the patterns say', () => {
    const {feature} = rootSection.parse({feature: {fs: {mode: 'local', read_write: '.*'}}})
    expect(fileRules(feature.fs, context)).toBeUndefined()
  })

  it('know the home / of a container’s user without a passwd entry, and one that ends in a slash', () => {
    const {feature} = rootSection.parse({feature: {fs: {mode: 'read'}}})
    for (const home of ['/', '/data/home/']) {
      const {classify} = fileRules(feature.fs, {...context, home})!
      const at = home === '/' ? '' : '/data/home'
      expect([`${at}/.kube/config`, `${at}/.npmrc`, `${at}/data`].map(classify)).toEqual([
        'notFound',
        'local',
        'modeReadOnly',
      ])
    }
  })

  it('take what a container mounts as meant, except where the user’s own rules say otherwise', () => {
    const {feature} = rootSection.parse({feature: {fs: {mode: 'read', read_only: '^/data/of-target'}}})
    const {classify} = fileRules(feature.fs, {
      ...context,
      mounts: ['/data', '/etc/ssl/certs', '/root/dev.user/.kube', '/'],
    })!
    const paths = [
      '/data',
      '/data/x',
      '/data/of-target',
      '/database',
      '/etc/ssl/certs/ca.pem',
      '/root/dev.user/.kube/config',
    ]
    expect(paths.map(classify)).toEqual(['local', 'local', 'readOnly', 'modeReadOnly', 'local', 'local'])
  })

  it('do not take an unset HOME or a working directory of / for every path', () => {
    const {feature} = rootSection.parse({feature: {fs: {mode: 'read'}}})
    const {classify} = fileRules(feature.fs, {
      cwd: '/',
      temporary: '/tmp',
      executable: '/usr/bin/node',
      home: '',
      toolCache: '/',
    })!
    expect(['/data/x', '/.kube/config', '/usr/bin/node'].map(classify)).toEqual([
      'modeReadOnly',
      'modeReadOnly',
      'local',
    ])
  })
})
