/** A semantic version, split. */
export interface Version {
  major: number
  minor: number
  patch: number
  /** Dot-separated pre-release identifiers; empty for a release. */
  prerelease: readonly string[]
}

const number = '(?:0|[1-9]\\d*)'
const preId = `(?:${number}|\\d*[A-Za-z-][0-9A-Za-z-]*)`
const pattern = new RegExp(
  `^(${number})\\.(${number})\\.(${number})(?:-(${preId}(?:\\.${preId})*))?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$`,
)

/** Parses `major.minor.patch[-pre][+build]` by the rules of semver 2.0.0; undefined when the text is none. */
export function parseVersion(text: string): Version | undefined {
  const match = pattern.exec(text)
  if (!match) return undefined
  const parts = [match[1]!, match[2]!, match[3]!]
  // The reference implementation holds each part in 64 bits and refuses more.
  if (parts.some((part) => part.length > 19 && BigInt(part) > 0xffff_ffff_ffff_ffffn)) return undefined
  const [major, minor, patch] = parts.map(Number) as [number, number, number]
  return {major, minor, patch, prerelease: match[4]?.split('.') ?? []}
}

/** Order by semver precedence: negative when `a` is older than `b`. A pre-release is older than its release. */
export function compareVersions(a: Version, b: Version): number {
  const release = a.major - b.major || a.minor - b.minor || a.patch - b.patch
  if (release !== 0) return release
  if (a.prerelease.length === 0 || b.prerelease.length === 0) return b.prerelease.length - a.prerelease.length
  for (const [index, left] of a.prerelease.entries()) {
    const right = b.prerelease[index]
    if (right === undefined) return 1
    const order = comparePrerelease(left, right)
    if (order !== 0) return order
  }
  return a.prerelease.length - b.prerelease.length
}

function comparePrerelease(a: string, b: string): number {
  const aNumber = /^\d+$/.test(a)
  const bNumber = /^\d+$/.test(b)
  if (aNumber && bNumber) return Number(a) - Number(b)
  if (aNumber !== bNumber) return aNumber ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}
