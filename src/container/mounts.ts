import path from 'node:path'
import type {RunLine} from './run-line.ts'

/** A field of `--mount`, a line of CSV, that says where: quoted as a whole where it has a comma. */
const TARGET = /(?:^|,)(?:"(?:target|destination|dst)=((?:[^"]|"")*)"|(?:target|destination|dst)=([^,]*))/

/** The paths in the container at which a run line mounts something: `-v`, `--mount` and `--tmpfs`, without "/" at their end. */
export function mountPoints({flags}: RunLine): string[] {
  return flags.flatMap(({name, value}) => {
    const point = mountPoint(name, value)
    return point?.startsWith('/') ? [path.posix.normalize(point).replace(/(?<=.)\/$/, '')] : []
  })
}

function mountPoint(name: string, value: string): string | undefined {
  const [first, second] = value.split(':')
  if (name === 'volume') return second ?? first
  if (name === 'tmpfs') return first
  if (name !== 'mount') return undefined
  const [, quoted, plain] = TARGET.exec(value) ?? []
  return quoted?.replaceAll('""', '"') ?? plain
}
