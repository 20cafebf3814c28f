import {Flags} from '@oclif/core'

const ready = {helpGroup: 'READINESS'}
const many = {multiple: true, multipleNonGreedy: true} as const

/** When a start in the background returns. */
export const readinessFlags = {
  wait: Flags.boolean({
    ...ready,
    default: true,
    allowNo: true,
    helpLabel: '--no-wait',
    summary: 'return as soon as the program runs; `ci wait` can wait for it',
  }),
  ready: Flags.string({...ready, options: ['started', 'listening'], summary: 'it lives for a second, or listens'}),
  'ready-tcp': Flags.string({...ready, ...many, helpValue: '[HOST:]PORT', summary: 'the port accepts a connection'}),
  'ready-http': Flags.string({
    ...ready,
    ...many,
    helpValue: 'URL[=STATUS]',
    summary: 'the URL answers with STATUS (200, 2xx, several with commas) [default: any 2xx or 3xx]',
  }),
  'ready-log': Flags.string({...ready, ...many, helpValue: 'REGEX', summary: 'a line of its output matches'}),
  'ready-exec': Flags.string({...ready, ...many, helpValue: 'COMMAND', summary: 'the shell command succeeds'}),
  'ready-timeout': Flags.integer({
    ...ready,
    min: 1,
    helpValue: 'SECONDS',
    summary: 'how long to wait for it [default: 120]',
  }),
}
