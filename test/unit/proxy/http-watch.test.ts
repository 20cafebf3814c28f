import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {HttpWatch} from '../../../src/proxy/http-watch.ts'
import {unobserved} from '../../../src/proxy/observer.ts'

type Step = ['>' | '<', string | Uint8Array]

/** What is told of one connection, as `METHOD path status`; `end` tells its end. */
function watch(steps: readonly Step[], {pieces = Infinity, end = true} = {}): string[] {
  const told: string[] = []
  const follower = new HttpWatch(80, {
    ...unobserved,
    request: ({method, path, status, ms, stolen, port}) => {
      expect({stolen, port}).toEqual({stolen: true, port: 80})
      expect(ms).toBeGreaterThanOrEqual(0)
      told.push(`${method} ${path} ${status ?? 'none'}`)
    },
  })
  for (const [direction, text] of steps) {
    const bytes = Buffer.from(text as string)
    for (let at = 0; at < bytes.length; at += pieces) {
      const piece = Uint8Array.from(bytes.subarray(at, at + pieces))
      if (direction === '>') follower.toProgram(piece)
      else follower.fromProgram(piece)
      piece.fill(0x58) // the memory is the caller's again
    }
  }
  if (end) follower.end()
  return told
}

const get = 'GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const conversations: [string, Step[], string[]][] = [
  [
    'a request and its answer',
    [
      ['>', get],
      ['<', ok],
    ],
    ['GET /a?b 200'],
  ],
  [
    'a kept connection',
    [
      ['>', get],
      ['<', ok],
      ['>', get.replace('/a', '/c')],
      ['<', ok],
    ],
    ['GET /a?b 200', 'GET /c?b 200'],
  ],
  [
    'pipelined requests',
    [
      ['>', get + get],
      ['<', ok + ok.replace('200', '500')],
    ],
    ['GET /a?b 200', 'GET /a?b 500'],
  ],
  [
    'bodies that look like heads',
    [
      ['>', `POST /p HTTP/1.1\r\ncontent-length:${get.length}\r\n\r\n${get}`],
      ['<', `HTTP/1.1 201 Created\r\nContent-Length: ${ok.length}\r\n\r\n${ok}`],
      ['>', get],
      ['<', ok],
    ],
    ['POST /p 201', 'GET /a?b 200'],
  ],
  [
    'chunks with extensions and trailers',
    [
      [
        '>',
        'POST /p HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5;a=b\r\n\r\n\r\nx\r\n0\r\nTrailer: GET /\r\n\r\n',
      ],
      ['<', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f\r\n' + 'y'.repeat(31) + '\r\n0\r\n\r\n'],
      ['>', get],
      ['<', ok],
    ],
    ['POST /p 200', 'GET /a?b 200'],
  ],
  [
    'answers without bodies',
    [
      ['>', 'HEAD /h HTTP/1.1\r\n\r\n' + get + get],
      [
        '<',
        'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nHTTP/1.1 304 Same\r\nContent-Length: 999\r\n\r\nHTTP/1.1 204\r\n\r\n',
      ],
    ],
    ['HEAD /h 200', 'GET /a?b 304', 'GET /a?b 204'],
  ],
  [
    'interim answers',
    [
      ['>', get],
      ['<', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n' + ok],
    ],
    ['GET /a?b 200'],
  ],
  [
    'an answer up to the end',
    [
      ['>', get],
      ['<', 'HTTP/1.0 200 OK\r\n\r\n' + ok],
      ['>', get],
    ],
    ['GET /a?b 200', 'GET /a?b none'],
  ],
  [
    'an upgrade, after which it is not followed',
    [
      ['>', get],
      ['<', 'HTTP/1.1 101 Switching\r\n\r\nxx'],
      ['>', get],
      ['<', ok],
    ],
    ['GET /a?b 101'],
  ],
  [
    'a tunnel',
    [
      ['>', 'CONNECT a:1 HTTP/1.1\r\n\r\n'],
      ['<', 'HTTP/1.1 200 OK\r\n\r\n'],
      ['>', get],
      ['<', ok],
    ],
    ['CONNECT a:1 200'],
  ],
  [
    'an answer before the body has come',
    [
      ['>', 'PUT /p HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc'],
      ['<', ok.replace('200', '413')],
    ],
    ['PUT /p 413'],
  ],
  [
    'empty lines between messages',
    [
      ['>', '\r\n\r\n' + get + '\r\n' + get],
      ['<', ok + ok],
    ],
    ['GET /a?b 200', 'GET /a?b 200'],
  ],
  ['no answer', [['>', get]], ['GET /a?b none']],
  ['half a request', [['>', get.slice(0, -1)]], []],
]

describe('of a connection are told', () => {
  test.each(conversations)('%s', (_, steps, told) => {
    expect(watch(steps)).toEqual(told)
  })

  test('the same requests, in whatever pieces the bytes come', () => {
    for (const [, steps, told] of conversations)
      for (const pieces of [1, 2, 3, 7]) expect(watch(steps, {pieces})).toEqual(told)
  })

  test('a request only when there is an answer or the connection has ended', () => {
    expect(watch([['>', get]], {end: false})).toEqual([])
  })
})

describe('not HTTP/1, or no more, and nothing is told of', () => {
  const answered: Step[] = [
    ['>', get],
    ['<', ok],
  ]
  test.each<[string, Step[]]>([
    ['TLS', [['>', Uint8Array.of(0x16, 3, 1, 2, 0, 1)]]],
    ['HTTP/2', [['>', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']]],
    ['HTTP/0.9', [['>', 'GET /\r\n\r\n']]],
    ['a server that speaks first', [['<', '220 smtp ready\r\n']]],
    ['an answer without a question', [['<', ok]]],
    ['a word that does not end', [['>', 'x'.repeat(40)]]],
    ['a head that does not end', [['>', 'GET / HTTP/1.1\r\n' + 'a: b\r\n'.repeat(3000)]]],
    ['two lengths', [['>', 'GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n']]],
    ['a negative length', [['>', 'GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n']]],
  ])('%s', (_, steps) => {
    // The first request of `answered` may complete what is pending: it must not count either.
    expect(watch([...steps, ...answered])).toEqual([])
  })

  test('chunks without a size', () => {
    expect(watch([['>', 'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'], ...answered])).toEqual([])
  })

  test('more requests under way than are kept', () => {
    expect(
      watch([
        ['>', get.repeat(129)],
        ['<', ok],
      ]),
    ).toEqual([])
  })
})

test('arbitrary bytes in both directions do no harm', () => {
  const text = fc.oneof(
    fc.constantFrom(
      get,
      ok,
      'HTTP/1.1 100 \r\n\r\n',
      '\r\n',
      '0\r\n',
      'Transfer-Encoding: chunked\r\n\r\n',
      'GET / HTTP/1.1\r\n',
    ),
    fc.uint8Array({maxLength: 40}),
  )
  const step = fc.tuple(fc.constantFrom('>' as const, '<' as const), text)
  fc.assert(
    fc.property(fc.array(step, {maxLength: 20}), fc.integer({min: 1, max: 50}), (steps, pieces) => {
      expect(watch(steps, {pieces})).toEqual(watch(steps))
    }),
  )
})
