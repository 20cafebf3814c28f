// Runs one command after another ({name: words} in the first argument) and prints what each printed and how it ended.
import {spawnSync} from 'node:child_process'

const results = Object.entries(JSON.parse(process.argv[2])).map(([name, [program, ...words]]) => {
  const {stdout, stderr, status, signal, error} = spawnSync(program, words, {encoding: 'utf8', timeout: 90_000})
  return [name, error ? `${error}` : `${stdout}${stderr}exit ${status ?? signal}`]
})
console.log(`steps: ${JSON.stringify(Object.fromEntries(results))}`)
