import {Flags} from '@oclif/core'

const session = {helpGroup: 'SESSION'}

/** How a session of a CI job is called, kept and ended. */
export const sessionFlags = {
  name: Flags.string({
    helpValue: 'NAME',
    summary: "name of the session for the other ci commands [default: the program's, with -2, -3 where taken]",
  }),
  grace: Flags.integer({
    ...session,
    min: 0,
    max: 3600,
    helpValue: 'SECONDS',
    summary: 'time between SIGTERM and SIGKILL when the session ends [default: 10]',
  }),
  'log-max': Flags.string({
    ...session,
    helpValue: 'SIZE',
    summary: 'rotate stdout, stderr and mirrord.log at this size, for example 10M [default: never]',
  }),
}

/** What is known of the CI run; it goes into the report. */
export const runFlags = {
  environment: Flags.string({...session, helpValue: 'TEXT', summary: 'what is tested against, for example staging'}),
  pipeline: Flags.string({...session, helpValue: 'TEXT', summary: "name of the pipeline [default: the CI system's]"}),
  'triggered-by': Flags.string({
    ...session,
    helpValue: 'TEXT',
    summary: "what started it: push, pull request, manual [default: the CI system's]",
  }),
}
