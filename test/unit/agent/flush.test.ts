import {describe, expect, it} from 'vitest'
import {isBusy, parseEstablished} from '../../../src/agent/redirect/flush.ts'

const output = `0      0      [::ffff:10.1.0.2]:8080 [::ffff:10.1.0.9]:59222
\t bbr wscale:10,10 rto:204 mss:32768 bytes_sent:123 bytes_acked:123 bytes_received:138 segs_out:3 data_segs_out:1 lastsnd:440 lastrcv:140 lastack:140 minrtt:0.02
0      0      10.1.0.2:8080 10.1.0.9:59228
\t cubic wscale:7,7 bytes_received:69 data_segs_out:1 unacked:1 lastsnd:140 lastrcv:636
12     0      10.1.0.2:8080 10.1.0.9:59242
\t cubic wscale:7,7 segs_in:2 send 124830476190bps lastsnd:36 lastrcv:36 lastack:36
`

describe('what ss tells of established connections', () => {
  it('is read line by line', () => {
    expect(parseEstablished(output)).toEqual([
      {peer: '[::ffff:10.1.0.9]:59222', queued: false, received: true, sent: true, lastSent: 440, lastReceived: 140},
      {peer: '10.1.0.9:59228', queued: true, received: true, sent: true, lastSent: 140, lastReceived: 636},
      {peer: '10.1.0.9:59242', queued: true, received: false, sent: false, lastSent: 36, lastReceived: 36},
    ])
    expect(parseEstablished('')).toEqual([])
  })

  const answered = {peer: '', queued: false, received: true, sent: true, lastSent: 500, lastReceived: 520}
  it.each([
    ['answered half a second ago', {}, false],
    ['waiting for its answer', {lastReceived: 400}, true],
    ['answered a moment ago', {lastSent: 20, lastReceived: 22}, true],
    ['waiting for its first answer', {sent: false, lastSent: 520}, true],
    ['with bytes that nobody has read', {queued: true}, true],
    ['just made', {received: false, lastSent: 50, lastReceived: 50}, true],
    ['made long ago and never used', {received: false, lastSent: 5000, lastReceived: 5000}, false],
  ])('of a connection %s means: busy %s', (_, change, busy) => {
    expect(isBusy({...answered, ...change}, 100)).toBe(busy)
  })

  it('of a connection that is never quiet means at last: the application has had the last word', () => {
    expect(isBusy({...answered, lastSent: 2, lastReceived: 3}, 0)).toBe(false)
    expect(isBusy({...answered, lastSent: 3, lastReceived: 2}, 0)).toBe(true)
  })
})
