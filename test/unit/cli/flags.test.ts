import {describe, expect, it} from 'vitest'
import CiContainer from '../../../src/commands/ci/container.ts'
import CiStart from '../../../src/commands/ci/start.ts'
import ConfigShow from '../../../src/commands/config/show.ts'
import Container from '../../../src/commands/container.ts'
import Exec from '../../../src/commands/exec.ts'
import {leaves} from '../../../src/config/meta.ts'
import {rootSection} from '../../../src/config/index.ts'

/** Flags by which a key of the configuration is set. */
const ofKeys = new Set([...leaves(rootSection)].flatMap(({meta}) => Object.keys(meta.flags ?? {})))
/** Those that say something else: the command reads them itself, or they mean nothing here. */
const ofCommands = [
  ...['config-file', 'foreground', 'json', 'yaml', 'wait', 'intercept'],
  ...['environment', 'pipeline', 'triggered-by', 'disable-version-check'],
]

const commands = {
  'ci start': CiStart.flags,
  'ci container': CiContainer.flags,
  exec: Exec.flags,
  container: Container.flags,
  'config show': ConfigShow.flags,
} as const

describe.each(Object.entries(commands))('the flags of %s', (_name, flags) => {
  it('set a key of the configuration, or are read by the command', () => {
    for (const name of Object.keys(flags)) expect([...ofKeys, ...ofCommands]).toContain(name)
  })

  it('say in a few words what they are, and letters mean the same everywhere', () => {
    const letters = new Map(
      Object.entries(CiStart.flags).flatMap(([name, {char}]) => (char ? [[char as string, name] as const] : [])),
    )
    for (const [name, flag] of Object.entries(flags)) {
      expect(flag.summary, name).toMatch(/^[^A-Z\s].{5,}[^.]$/)
      if (flag.char) expect(letters.get(flag.char as string)).toBe(name)
    }
  })
})

it('[LIF-11] every flag of a key is one of ci start', () => {
  for (const name of ofKeys) expect(Object.keys(CiStart.flags)).toContain(name)
})
