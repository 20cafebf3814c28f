#!/usr/bin/env node
import module from 'node:module'
import {join} from 'node:path'

module.enableCompileCache?.()
const {run} = await import('../lib/cli.js')
await run(process.argv.slice(2), {root: join(import.meta.dirname, '..')})
