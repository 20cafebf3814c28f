// How a bundled module gets Node's own modules. An `import` of one reads each of its properties, and some of node:fs, node:util
// and node:process load a dozen more modules when they are read; getBuiltinModule reads none. Measured: 5 ms of each start.
import {isBuiltin} from 'node:module'

/** `import a,{b as c}from"node:x";`, `import*as a from"x";` as esbuild writes them. */
const statement = /(?<=^|[;}\n])import(?: ?(\w+)(?=,| ))?,?(?:\{([^}]*)\})?(?:\* ?as (\w+))? ?from ?"([\w:/]+)";/g
const call = 'globalThis.process.getBuiltinModule'

/**
 * A module of the bundle (ESM, esbuild's `minifyWhitespace`) with its imports of built-in modules as calls, at its top as imports
 * are hoisted; and with a `require` where the CommonJS dependencies in it need one.
 */
export function nativeBuiltins(text) {
  const head = []
  const body = text.replace(statement, (whole, name, members, all, module) => {
    if (!isBuiltin(module)) return whole
    const value = `${call}("${module}")`
    for (const single of [name, all]) if (single) head.push(`${single}=${value}`)
    if (members) head.push(`{${members.replaceAll(' as ', ':')}}=${value}`)
    return ''
  })
  if (/\brequire\b/.test(body)) head.unshift(`require=${call}("node:module").createRequire(import.meta.url)`)
  return head.length === 0 ? body : `const ${head.join(',')};\n${body}`
}
