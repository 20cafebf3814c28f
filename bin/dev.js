#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
import {join} from 'node:path'
import './user.js'

const {run} = await import('../src/cli.ts')
await run(process.argv.slice(2), {root: join(import.meta.dirname, '..'), development: true})
