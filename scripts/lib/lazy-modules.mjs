// @oclif/core loads all of its modules at once, 25 ms of each start; a command needs a third of them. In the bundle each of its
// modules is loaded where it is first used. Its files are CommonJS as TypeScript writes it, so this is a matter of their lines.

/** `const x_1 = require("y");`, also within __importDefault or __importStar: TypeScript's own names end in a number. */
const declared = /^(?:const|var) (\w+_\d+) = ((?:__import(?:Default|Star)\()?require\("[^"]+"\)\)?);$/gm
/** `exports.X = __importStar(require("y"));` */
const exported = /^exports\.(\w+) = (__importStar\(require\("[^"]+"\)\));$/gm

/** What stands in some files and is changed there; a build with another version of @oclif/core fails where it is missing. */
const particular = {
  'index.js': [
    // Loads semver; bin/run.js checks Node's version. What stands here instead makes stdout forgive a reader that goes away.
    [/^checkNodeVersion\(\);$/m, 'require("./command");'],
  ],
  'config/plugin.js': [
    // The first localeCompare of a process loads ICU's tables, 6 ms; names of commands are plain letters.
    [/a\.id\.localeCompare\(b\.id\)/, 'a.id < b.id ? -1 : 1'],
  ],
  'help/util.js': [
    // Most lines of a help are no templates, and ejs compiles a function for each.
    [/^ {4}function render\(t\) \{$/m, "$& if (typeof t === 'string' && !t.includes('<%')) return t;"],
  ],
  'ux/index.js': [
    // An object of all that the folder has: its members are read when they are used.
    [/^exports\.action = (ACTION_TYPE === .*);$/m, (_, value) => lazyExport('action', value)],
    [/^ {4}(\w+): (exports\.action|\w+_\d+\.\w+),$/gm, 'get $1() {return $2},'],
  ],
}

const lazyExport = (name, value) =>
  `let ${name}$;Object.defineProperty(exports, "${name}", {enumerable: true, get: () => ${name}$ ??= ${value}});`

/**
 * One file of @oclif/core, `name` relative to its lib/, with its modules loaded at their first use. Throws where the file is not
 * written as expected.
 */
export function lazyCore(name, source) {
  let text = source
  for (const [pattern, replacement] of particular[name] ?? []) text = replaceKnown(text, pattern, replacement)
  text = text.replace(exported, (_, module, value) => lazyExport(module, value))
  const names = [...text.matchAll(declared)].map(([, module]) => module)
  text = text.replace(declared, (_, module, value) => `let ${module}$;function ${module}() {return ${module}$ ??= ${value}}`)
  if (names.length === 0) return text
  // Brackets for `new x_1.default()`. Its own declaration is another name, or has brackets already.
  return text.replace(new RegExp(`\\b(${names.join('|')})\\b(?![($])`, 'g'), '($1())')
}

/**
 * An ES module with its named imports of these CommonJS packages as calls of `require` where they are used. Throws where one is
 * not imported so.
 */
export function lazyImports(source, packages) {
  let text = source
  for (const name of packages) {
    const statement = new RegExp(`^import \\{([^}]*)\\} from '${name}';$`, 'm')
    const [whole, members] = statement.exec(text) ?? []
    if (!whole) throw new Error(`There is no import of ${name}: see scripts/lib/lazy-modules.mjs`)
    text = text.replace(whole, '')
    for (const member of members.split(',').filter((part) => part.trim() !== '')) {
      const [exported, local = exported] = member.trim().split(' as ')
      text = text.replaceAll(new RegExp(`\\b${local}\\b`, 'g'), `(require('${name}').${exported})`)
    }
  }
  return text
}

/** The text of a dependency with what it is known to hold replaced. Throws where it holds that no more. */
export function replaceKnown(text, pattern, replacement) {
  if (text.search(pattern) < 0) throw new Error(`${pattern} is nowhere in the dependency: see scripts/lib/lazy-modules.mjs`)
  return text.replace(pattern, replacement)
}
