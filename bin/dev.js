#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
import {join} from 'node:path'

const {run} = await import('../src/cli.ts')
await run(process.argv.slice(2), {root: join(import.meta.dirname, '..'), development: true})
