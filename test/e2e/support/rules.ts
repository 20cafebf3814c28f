import {execFileSync} from 'node:child_process'
import {onePerNetwork} from './processes.ts'

/** Runs a program in the network namespace of a process, as root or as the owner of its user namespace. */
export function inNetwork(pid: number, file: string, args: string[]): string {
  const how = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials']
  return execFileSync('nsenter', [...how, `--net=/proc/${pid}/ns/net`, `--target=${pid}`, file, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`},
  })
}

/** A process of this machine in the network namespace that has this address; undefined where the pod runs elsewhere. */
export function processInPod(address: string): number | undefined {
  return onePerNetwork().find((pid) => {
    try {
      const addresses = inNetwork(pid, 'ip', ['-oneline', 'addr', 'show'])
      return addresses.includes(` ${address}/`)
    } catch {
      return false // it ended meanwhile, or its namespace is closed to us
    }
  })
}

/** Every rule and chain of a pod's network namespace, nft and legacy, both families, without counters. */
export function rules(pid: number): string[] {
  return ['iptables-nft-save', 'iptables-legacy-save', 'ip6tables-nft-save', 'ip6tables-legacy-save'].flatMap((file) =>
    inNetwork(pid, file, [])
      .split('\n')
      .filter((line) => line.startsWith('-A') || (line.startsWith(':') && line.includes(' - ')))
      .map((line) => `${file.replace('-save', '')}: ${line.replace(/ \[\d+:\d+\]$/, '')}`),
  )
}
