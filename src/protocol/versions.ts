import {compareVersions, parseVersion, type Version} from './semver.ts'

/** The protocol version that this implementation announces and fully decodes (spec protocol.md 2.1). */
export const PROTOCOL_VERSION = '1.29.0'

/** What an agent assumes of a client that has not announced a version (spec protocol.md 2.1). */
export const ASSUMED_CLIENT_VERSION = '1.2.2'

/** Capability → first version that has it (spec protocol.md 2.2). Everything not listed is as old as the protocol. */
export const gates = {
  switchVersion: '1.3.0',
  httpFramed: '1.3.0',
  readyForLogs: '1.3.1',
  httpFilteredUpgrade: '1.5.0',
  readLink: '1.6.0',
  httpChunkedRequest: '1.7.0',
  httpChunkedResponse: '1.8.1',
  readDirBatch: '1.9.0',
  vpn: '1.10.0',
  httpCompositeFilter: '1.11.0',
  mirrorBlock: '1.12.0',
  makeDir: '1.13.0',
  openLocal: '1.13.3',
  infoLog: '1.13.4',
  removeDir: '1.14.0',
  addrInfoV2: '1.15.0',
  statFs: '1.16.0',
  mirrorPolicyReason: '1.17.0',
  statFsV2: '1.18.0',
  httpChunkedRequestV2: '1.19.0',
  modeAgnosticHttp: '1.19.4',
  operatorPing: '1.19.8',
  httpMethodFilter: '1.20.0',
  rename: '1.21.0',
  mirrorHttpFilter: '1.21.1',
  outgoingConnectV2: '1.22.0',
  httpBodyFilter: '1.23.0',
  copyFile: '1.24.0',
  reverseDns: '1.25.0',
  httpHeaderJqFilter: '1.26.0',
  seqpacket: '1.27.0',
  systemFailure: '1.28.0',
  shareLink: '1.29.0',
} as const satisfies Record<string, string>

/** The name of a capability that depends on the version. */
export type GateName = keyof typeof gates

const parsedGates = new Map(Object.entries(gates).map(([name, text]) => [name, parseVersion(text)!]))

/**
 * Whether a peer of this version has the capability. As in the reference implementation a pre-release satisfies no gate
 * (spec protocol.md 2.1); a text that is no version has nothing.
 */
export function supports(version: string | Version, gate: GateName): boolean {
  const parsed = typeof version === 'string' ? parseVersion(version) : version
  if (!parsed || parsed.prerelease.length > 0) return false
  return compareVersions(parsed, parsedGates.get(gate)!) >= 0
}

/** The older of two versions (semver order): what an agent answers to `SwitchProtocolVersion`. Throws RangeError. */
export function minVersion(a: string, b: string): string {
  const left = parseVersion(a)
  const right = parseVersion(b)
  if (!left || !right) throw new RangeError(`${JSON.stringify(left ? b : a)} is not a semantic version.`)
  return compareVersions(left, right) <= 0 ? a : b
}
