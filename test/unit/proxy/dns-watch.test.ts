import fc from 'fast-check'
import * as dns from 'dns-packet'
import {describe, expect, test, vi} from 'vitest'
import {DnsWatch} from '../../../src/proxy/dns-watch.ts'
import {unobserved} from '../../../src/proxy/observer.ts'

function stage() {
  const told: unknown[] = []
  return {told, watch: new DnsWatch({...unobserved, name: (query) => void told.push(query)})}
}
type Type = 'A' | 'AAAA'
const question = (id: number, name: string, type: Type = 'A') =>
  dns.encode({type: 'query', id, questions: [{type, name}]})
const answer = (id: number, name: string, answers: object[], flags = 0) =>
  dns.encode({type: 'response', id, flags, questions: [{type: 'A', name}], answers} as dns.Packet)

describe('a name is told', () => {
  test('with the addresses that it gave, through aliases and beside other records', () => {
    const {told, watch} = stage()
    watch.question(question(7, 'WWW.Example'))
    watch.answer(
      answer(7, 'www.example', [
        {type: 'CNAME', name: 'www.example', data: 'web.example'},
        {type: 'A', name: 'web.example', data: '192.0.2.1'},
        {type: 'TXT', name: 'web.example', data: ['x']},
        {type: 'AAAA', name: 'web.example', data: '2001:db8::1'},
      ]),
    )
    expect(told).toEqual([{name: 'www.example', failed: false, addresses: ['192.0.2.1', '2001:db8::1']}])
  })

  test('as found when it has no address of that kind, as failed when it does not exist', () => {
    const {told, watch} = stage()
    watch.question(question(1, 'a.example', 'AAAA'))
    watch.question(question(2, 'b.example'))
    watch.answer(answer(2, 'b.example', [], 3))
    watch.answer(answer(1, 'a.example', []))
    expect(told).toEqual([
      {name: 'b.example', failed: true, addresses: []},
      {name: 'a.example', failed: false, addresses: []},
    ])
  })

  test('as failed when no answer came before it was asked again, in 15 s or until the end', () => {
    vi.useFakeTimers()
    try {
      const {told, watch} = stage()
      watch.question(question(1, 'a.example'))
      watch.question(question(1, 'a.example'))
      expect(told).toHaveLength(1)
      vi.advanceTimersByTime(15_001)
      watch.question(question(2, 'b.example'))
      expect(told).toHaveLength(2)
      watch.close()
      watch.close()
      expect(told).toEqual(['a', 'a', 'b'].map((name) => ({name: `${name}.example`, failed: true, addresses: []})))
    } finally {
      vi.useRealTimers()
    }
  })

  test('not for answers that nobody waits for, or of another name', () => {
    const {told, watch} = stage()
    watch.question(question(1, 'a.example'))
    watch.answer(answer(2, 'a.example', []))
    watch.answer(answer(1, 'forged.example', []))
    expect(told).toEqual([])
  })

  test('for 4096 questions under way at most', () => {
    const {told, watch} = stage()
    for (let id = 0; id < 5000; id++) watch.question(question(id, 'a.example'))
    expect(told).toHaveLength(5000 - 4096)
  })
})

test('names are printable', () => {
  const {told, watch} = stage()
  const packet = question(1, 'abcd.example')
  packet[14] = 10
  watch.question(packet)
  watch.close()
  expect(told).toMatchObject([{name: 'a?cd.example'}])
})

test('arbitrary and cut packets do no harm', () => {
  const good = answer(1, 'a.example', [{type: 'A', name: 'a.example', data: '192.0.2.1'}])
  const {watch} = stage()
  fc.assert(
    fc.property(fc.uint8Array({maxLength: 80}), fc.nat(good.length), fc.nat(255), (bytes, at, value) => {
      const broken = Buffer.from(good)
      broken[at] = value
      for (const packet of [bytes, good.subarray(0, at), broken]) {
        watch.question(packet)
        watch.question(good)
        watch.answer(packet)
      }
    }),
  )
})
