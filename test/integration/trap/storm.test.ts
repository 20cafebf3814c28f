import {createSocket} from 'node:dgram'
import {afterEach, beforeAll, expect, it} from 'vitest'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, compileGo, run, startRelay} from './harness.ts'
import {Target} from './remote.ts'

const storm = compileGo('storm')
beforeAll(buildTrap)
afterEach(cleanUp)

inEachCondition('a Go program whose runtime preempts by SIGURG', () => {
  it.skipIf(!storm)(
    `gets every connection, datagram and file right${storm ? '' : ' (no Go)'}`,
    {timeout: 120_000},
    async () => {
      using target = new Target({readOnly: ['^/app']})
      using relay = await startRelay()
      const names = Array.from({length: 256}, (_, at) => `${Math.floor(at / 8)}-${at % 8}`)
      for (const name of names) target.file(`/app/${name}`, name)
      const echo = createSocket('udp4')
      await new Promise<void>((resolve) => echo.bind(0, '127.0.0.1', resolve))
      echo.on('message', (data, from) => echo.send(data, from.port, from.address))
      const program = await run({
        program: storm ?? '',
        arguments: ['10.1.2.3', '/app'],
        files: target.options,
        file: target.handler,
        connect: async ({remote}) => {
          await new Promise((resolve) => setTimeout(resolve, 3)) // held for some signals
          return remote.port === 80 ? relay.answer : {relay: {address: '127.0.0.1', port: echo.address().port}}
        },
      })
      expect(await program.finish()).toBe('missing: tcp 0 udp 0 files 0\n')
      expect(program.warnings).toEqual([])
      echo.close()
    },
  )
})
