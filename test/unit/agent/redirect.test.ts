import {describe, expect, it} from 'vitest'
import type {RunCommand} from '../../../src/agent/command.ts'
import {chooseTable, NatTable} from '../../../src/agent/redirect/backend.ts'
import {
  addPortScript,
  chainNames,
  isMarked,
  leftoverNames,
  markAddress,
  mentioning,
  passScript,
  removalCommands,
  removePortScript,
  setupScript,
} from '../../../src/agent/redirect/rules.ts'

const names = chainNames('0123456789abcdef0123456789abcdef')
const chains = {...names, mark: markAddress(4, 0x01_02_03)}
const [inbound, standard] = ['MRDIN_0123456789abcdef0123', 'MRDSTD_0123456789abcdef0123']

/** Fails where the chains are another agent's. */
const own = ['-D', '-A'].map((action) => `${action} ${inbound} -s 240.1.2.3 -p 255 -j RETURN\n`).join('')

describe('rules', () => {
  it('names chains by the first 20 characters', () => {
    expect(names).toEqual({inbound, standard})
    expect(chainNames('')).toEqual({inbound: 'MRDIN_', standard: 'MRDSTD_'})
  })

  it('sets up what the specification lists, RETURN last', () => {
    const text = setupScript(chains, {gid: 4242, podIps: ['10.0.0.5']}, [{port: 80, listener: 4000}])
    expect(text.split('\n')).toEqual([
      '*nat',
      `-N ${inbound}`,
      `-A ${inbound} -j RETURN`,
      `-A ${inbound} -s 240.1.2.3 -p 255 -j RETURN`,
      `-N ${standard}`,
      `-A ${standard} -j RETURN`,
      `-I ${standard} 1 -m owner --gid-owner 4242 -p tcp ! -s 10.0.0.5 -j RETURN`,
      `-A PREROUTING -j ${inbound}`,
      `-A OUTPUT -j ${standard}`,
      `-I ${inbound} 1 -m tcp -p tcp --dport 80 --syn -j REDIRECT --to-ports 4000`,
      `-I ${standard} 2 -o lo -m tcp -p tcp --dport 80 --syn -j REDIRECT --to-ports 4000`,
      'COMMIT',
      '',
    ])
  })

  it('leaves the source out when no address is known, and OUTPUT out on request', () => {
    expect(setupScript(chains, {gid: 1, podIps: []}, [])).toContain('--gid-owner 1 -p tcp -j RETURN')
    expect(setupScript(chains, undefined, [{port: 1, listener: 2}])).not.toMatch(/OUTPUT|MRDSTD/)
  })

  it('adds and removes ports by the same specification', () => {
    const rule = {port: 81, listener: 4001}
    const specification = '-m tcp -p tcp --dport 81 --syn -j REDIRECT --to-ports 4001'
    expect(addPortScript(chains, true, rule, 1)).toContain(`-I ${inbound} 2 ${specification}\n-I ${standard} 3 -o lo`)
    expect(removePortScript(chains, true, rule, false)).toBe(
      `*nat\n${own}-D ${inbound} ${specification}\n-D ${standard} -o lo ${specification}\nCOMMIT\n`,
    )
  })

  it('lets new connections pass by in front of the redirects, and takes that back', () => {
    const match = '-m tcp -p tcp --dport 81 -j RETURN'
    const deleted = `-D ${inbound} ${match}\n-D ${standard} -o lo ${match}\n`
    expect(passScript('insert', chains, true, [81])).toBe(
      `*nat\n${own}-I ${inbound} 1 ${match}\n-I ${standard} 2 -o lo ${match}\nCOMMIT\n`,
    )
    expect(passScript('insert', chains, false, [81, 82])).not.toContain(standard)
    expect(passScript('delete', chains, true, [81])).toContain(deleted)
    expect(removePortScript(chains, true, {port: 81, listener: 4001}, true)).toContain(deleted)
  })

  it('removes exactly what is there: every jump, then the chains', () => {
    const listing = [
      '-P PREROUTING ACCEPT',
      '-N KUBE-X',
      `-N ${inbound}`,
      `-A PREROUTING -j ${inbound}`,
      `-A PREROUTING -j ${inbound}`,
      `-A ${inbound} -j RETURN`,
      '-A OUTPUT -j KUBE-X',
    ].join('\n')
    expect(removalCommands(listing, [inbound, standard])).toEqual([
      `-D PREROUTING -j ${inbound}`,
      `-D PREROUTING -j ${inbound}`,
      `-F ${inbound}`,
      `-X ${inbound}`,
    ])
    expect(removalCommands('-P OUTPUT ACCEPT\n', [inbound])).toEqual([])
  })

  it('finds its mark in a listing, and no other', () => {
    expect(isMarked('-A MRDIN_x -s 240.1.2.3/32 -p 255 -j RETURN', markAddress(4, 0x01_02_03))).toBe(true)
    expect(isMarked('-A MRDIN_x -s 240.1.2.33/32 -p 255 -j RETURN', markAddress(4, 0x01_02_03))).toBe(false)
    expect(isMarked('-A MRDIN_x -s 100::1fff:1000/128 -p 255 -j RETURN', markAddress(6, 0xff_f0_00))).toBe(true)
  })

  it('recognises leftovers of every agent generation', () => {
    const names = leftoverNames('0123456789abcdef0123456789')
    for (const line of ['-N MIRRORD_INPUT', `-N ${inbound}`, '-N MRDOUT_0123456789abcdef0123'])
      expect(mentioning(line, names)).toEqual([line])
    expect(mentioning('-N MRDIN_ffffffffffffffffffff', names)).toEqual([])
  })
})

describe('chooseTable', () => {
  /** A machine whose programs answer as given; unknown ones fail. */
  const machine = (answers: Readonly<Record<string, string>>, calls: string[] = []): RunCommand => {
    return (program) => {
      const name = program.replace('/usr/sbin/', '')
      calls.push(name)
      const stdout = answers[name]
      return Promise.resolve(stdout === undefined ? {code: 1, stdout: '', stderr: 'no'} : {code: 0, stdout, stderr: ''})
    }
  }

  it('prefers legacy where it can be written', async () => {
    const run = machine({'iptables-legacy': '', 'iptables-nft': '', 'iptables-legacy-restore': ''})
    expect((await chooseTable(4, undefined, run)).table.backend).toBe('legacy')
  })

  it('takes nft where legacy cannot be written or listed', async () => {
    expect((await chooseTable(4, undefined, machine({'iptables-legacy': '', 'iptables-nft': ''}))).table.backend).toBe(
      'nft',
    )
    expect((await chooseTable(6, undefined, machine({'ip6tables-nft': ''}))).table.backend).toBe('nft')
  })

  it('follows a mesh to its backend', async () => {
    const run = machine({
      'iptables-legacy': '',
      'iptables-nft': '-A OUTPUT -j ISTIO_OUTPUT',
      'iptables-legacy-restore': '',
    })
    expect(await chooseTable(4, undefined, run)).toMatchObject({mesh: true, table: {backend: 'nft'}})
  })

  it('asks only the forced one', async () => {
    const calls: string[] = []
    await chooseTable(4, true, machine({'iptables-nft': ''}, calls))
    expect(calls).toEqual(['iptables-nft'])
  })

  it('fails when nothing can be listed, and says why', async () => {
    await expect(chooseTable(4, undefined, machine({}))).rejects.toThrow(/IPv4, nft\): no/)
    await expect(new NatTable(6, 'legacy', machine({})).restore('x')).rejects.toThrow(/IPv6, legacy/)
  })
})
